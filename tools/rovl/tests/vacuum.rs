// SPDX-License-Identifier: GPL-2.0

//! What is of no use in an upper layer, and that the layers show the same without it.

mod common;
#[path = "support/mod.rs"]
mod support;

use common::edit::{assert_fine, assert_no_journal, can_kill, copy, copy_from, run, shown, text};
use common::{mount, random, seeds, tree, Layers};
use std::path::Path;
use support::scene::Scene;

/// The arguments for all layers.
fn all(layers: &Layers) -> Vec<&Path> {
    let lower = layers.lower.iter().map(|path| path.as_path());
    lower.chain([layers.upper.as_path()]).collect()
}

fn random_layers(seed: u64) -> Layers {
    let mut random = random::Random::new(seed);
    let options: &[&str] = match seed % 3 {
        2 => &["redirect_dir=off", "metacopy=off", "index=off"],
        _ => &["redirect_dir=on", "metacopy=on", "index=off"],
    };
    let mut layers = random::layers(&mut random, 2, options);
    // What is useless: the upper layer stands on other lower ones than it was made for.
    if seed % 2 == 0 {
        layers.lower.remove(0);
    }
    layers
}

#[test]
fn random_stacks() {
    if !mount::possible() {
        return;
    }
    let mut removed = 0;
    for seed in seeds(40) {
        let layers = random_layers(seed);
        // Files whose data was in the layer that was left out cannot be read.
        let broken = layers.stack().walk().map(|mut walk| loop {
            match walk.step() {
                Ok(Some(_)) => {}
                Ok(None) => break false,
                Err(_) => break true,
            }
        });
        if broken.expect("a walk") {
            continue;
        }
        let before = shown(&layers);
        let what = format!("seed {seed}");
        let output = run(&["vacuum"], &all(&layers), None);
        assert_fine(&what, &output);
        removed += text(&output).lines().count() - 1;
        tree::assert_same(&what, &before, &shown(&layers));
        assert_no_journal(&what, layers.dir.path());
        let again = run(&["vacuum"], &all(&layers), None);
        assert_eq!(text(&again), "0 things removed\n", "{what}");
    }
    assert!(removed > 0, "nothing was of no use");
}

/// Something of each kind.
fn scene() -> Scene {
    let scene = Scene::new();
    scene.dir("l/same/deep").file("l/same/deep/f", "text");
    scene
        .file("l/f", "text")
        .file("l/g", "text")
        .file("l/t", "text");
    support::run(
        scene.root(),
        "cp -a l/same l/f l/g l/t u
        echo other > u/g; touch -d @1 u/t; touch -d @77 u",
    );
    scene.whiteout("u/gone").whiteout("u/same/gone");
    scene.dir("u/new").set("u/new", "opaque", b"y");
    scene
        .set("u/same", "impure", b"y")
        .set("u/new", "impure", b"y");
    support::run(
        scene.root(),
        "touch -d @55 l/same u/same; touch -d @66 l/same/deep u/same/deep; touch -d @77 u",
    );
    scene
}

#[test]
fn each_reason() {
    let scene = scene();
    let shown = support::run(scene.root(), "$rovl vacuum -n l u");
    let lines = [
        "f: equal to what is below",
        "gone: whiteout with nothing below",
        "new: opaque with nothing below",
        "new: impure with no origin in it",
        "same: empty, and equal to the directory below",
        "same: impure with no origin in it",
        "same/deep: empty, and equal to the directory below",
        "same/deep/f: equal to what is below",
        "same/gone: whiteout with nothing below",
        "9 things would be removed\n",
    ];
    assert_eq!(shown, lines.join("\n"));
    assert!(scene.is_whiteout("u/gone"));
    support::run(scene.root(), "$rovl vacuum l u");
    assert_eq!(scene.list("u"), ["g", "new", "t"]);
    assert_eq!(scene.get("u/new", "opaque"), None);
    let stat = std::fs::metadata(scene.at("u")).expect("attributes");
    assert_eq!(std::os::unix::fs::MetadataExt::mtime(&stat), 77);
    let shown = support::run(scene.root(), "$rovl vacuum --json --ignore-times l u");
    assert_eq!(shown, "{\"path\":\"t\",\"reason\":\"copy\"}\n");
    assert_eq!(scene.list("u"), ["g", "new"]);
}

#[test]
fn killed_at_each_step() {
    if !can_kill() || !mount::possible() {
        return;
    }
    let made = scene();
    let at = |name: &str| made.at(name);
    let original = Layers {
        dir: common::fast_dir(),
        lower: vec![at("l"), at("l2")],
        upper: at("u"),
        work: at("w"),
    };
    let original = copy_from(made.root(), &original);
    let before = shown(&original);
    for step in 1.. {
        let what = format!("killed at {step}");
        let layers = copy(&original);
        if run(&["vacuum"], &all(&layers), Some(step)).status.success() {
            assert!(step > 10, "{step} steps");
            return;
        }
        if step % 3 == 0 {
            let undone = run(&["vacuum", "--undo"], &all(&layers), None);
            let none = text(&undone).contains("no interrupted run");
            assert!(undone.status.success() || none, "{}", text(&undone));
            assert_no_journal(&what, layers.dir.path());
            tree::assert_same(&what, &before, &shown(&layers));
        }
        assert_fine(&what, &run(&["vacuum"], &all(&layers), None));
        assert_no_journal(&what, layers.dir.path());
        tree::assert_same(&what, &before, &shown(&layers));
        let again = run(&["vacuum"], &all(&layers), None);
        assert_eq!(text(&again), "0 things removed\n", "{what}");
    }
}
