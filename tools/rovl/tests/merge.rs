// SPDX-License-Identifier: GPL-2.0

//! What layers show after the upper one was merged into the topmost lower one, beside what they showed before.

mod common;
#[path = "support/mod.rs"]
mod support;

use common::edit::{assert_fine, assert_no_journal, can_kill, copy, run, shown, shown_below, text};
use common::tree::Tree;
use common::{mount, random, seeds, tree, Layers};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use support::scene::Scene;

fn random_layers(seed: u64) -> Layers {
    let mut random = random::Random::new(seed);
    let options: &[&str] = match seed % 4 {
        3 => &["redirect_dir=off", "metacopy=off", "index=off"],
        _ => &["redirect_dir=on", "metacopy=on", "index=off"],
    };
    let count = usize::try_from(seed % 5).expect("a number");
    random::layers(&mut random, count, options)
}

/// The arguments for all layers.
fn all(layers: &Layers) -> Vec<&Path> {
    let lower = layers.lower.iter().map(|path| path.as_path());
    [layers.upper.as_path()].into_iter().chain(lower).collect()
}

/// Panics unless the lower layers show it, alone and below the upper one, which is empty.
#[track_caller]
fn assert_merged(what: &str, layers: &Layers, before: &Tree) {
    let listed = std::fs::read_dir(&layers.upper).expect("the upper layer");
    assert_eq!(listed.count(), 0, "{what}: the upper layer is not empty");
    let after = shown_below(&layers.lower, layers.dir.path());
    tree::assert_same(what, before, &after);
    tree::assert_same(what, before, &shown(layers));
    assert_no_journal(what, layers.dir.path());
}

#[test]
fn random_stacks() {
    if !mount::possible() {
        return;
    }
    for seed in seeds(30) {
        let layers = random_layers(seed);
        let before = shown(&layers);
        let what = format!("seed {seed}");
        assert_fine(&what, &run(&["merge"], &all(&layers), None));
        assert_merged(&what, &layers, &before);
    }
}

/// Changes the attributes of every other file, so that only these are in the upper layer.
fn touch_attributes(layers: &Layers) {
    use std::os::unix::fs::PermissionsExt;
    let mounted = layers.mount(common::edit::SHOWN);
    let files = tree::read(&mounted.path());
    let files = files
        .iter()
        .filter(|(_, object)| object.mode & 0o170_000 == 0o100_000);
    for (path, _) in files.step_by(2) {
        let path = Path::new(std::ffi::OsStr::from_bytes(path));
        let mode = std::fs::Permissions::from_mode(0o604);
        std::fs::set_permissions(mounted.path().join(path), mode).expect("a mode");
    }
}

#[test]
fn killed_at_each_step() {
    if !can_kill() || !mount::possible() {
        return;
    }
    let original = random_layers(2);
    touch_attributes(&original);
    let before = shown(&original);
    let mut undone = 0;
    for step in 1.. {
        let what = format!("killed at {step}");
        let layers = copy(&original);
        let killed = run(&["merge"], &all(&layers), Some(step));
        if killed.status.success() {
            assert!(step > 50 && undone > 10, "{step} steps, {undone} undone");
            return;
        }
        match step % 3 {
            0 => {
                run(&["merge"], &all(&layers), Some(1 + step / 2));
            }
            1 => {
                // Undoing is interrupted, too, and then undone or begun anew.
                run(&["merge", "--undo"], &all(&layers), Some(3 + step % 16));
            }
            _ => {}
        }
        match step % 6 {
            1 | 5 => {
                let output = run(&["merge", "--undo"], &all(&layers), None);
                let text = text(&output);
                if output.status.success() {
                    undone += 1;
                    assert_no_journal(&what, layers.dir.path());
                    tree::assert_same(&what, &before, &shown(&layers));
                } else {
                    let known = ["cannot be undone", "no interrupted run"];
                    assert!(known.iter().any(|said| text.contains(said)), "{text}");
                }
            }
            _ => {}
        }
        assert_fine(&what, &run(&["merge"], &all(&layers), None));
        assert_merged(&what, &layers, &before);
    }
}

#[test]
fn files_stay_the_same() {
    if !mount::possible() {
        return;
    }
    let scene = Scene::new();
    scene
        .file("l/d-file", "below")
        .dir("l/dir")
        .file("l/dir/f", "moved");
    for name in ["alone", "two", "seen"] {
        scene.file(&format!("l/{name}"), "data");
    }
    // The attribute is one that the upper file does not have any more.
    support::run(scene.root(), "ln l/two l/names");
    let old = rustix::fs::setxattr(
        scene.at("l/alone"),
        "user.old",
        b"",
        rustix::fs::XattrFlags::empty(),
    );
    old.expect("an attribute");
    scene.mounted(
        "redirect_dir=on,metacopy=on",
        "mv m/dir m/new; echo above > m/upper
        chown 5:6 m/alone m/two m/seen; chmod 4711 m/alone
        python3 -c 'import os; os.removexattr(\"m/alone\", \"user.old\"); os.setxattr(\"m/alone\", \"user.new\", b\"\")'
        touch -hd @1000 m/alone; mv m/alone m/new/alone",
    );
    assert_eq!(scene.get("u/new/alone", "metacopy"), Some(Vec::new()));
    // Its data is also that of another one, which shows through: a mount takes them for one, because it knows
    // files by their data.
    support::run(scene.root(), "mv u/seen u/other");
    scene
        .set("u/other", "redirect", b"/seen")
        .unset("u/other", "origin");
    let stat = |path: &str| std::fs::symlink_metadata(scene.at(path)).expect("attributes");
    let inode = |path: &str| std::os::unix::fs::MetadataExt::ino(&stat(path));
    let before = [
        "l/d-file", "l/dir/f", "u/upper", "l/alone", "l/names", "l/seen",
    ]
    .map(inode);
    let shown = "cd m; find . -type f ! -name seen ! -name other | sort | while read -r path; do
            stat -c '%n %a %u %Y %s' $path
            python3 -c 'import os, sys
for name in sorted(os.listxattr(sys.argv[1])): print(name, os.getxattr(sys.argv[1], name))' $path
        done; cd ..";
    let options = "redirect_dir=on,metacopy=on";
    let was = scene.mounted(options, shown);
    support::run(scene.root(), "$rovl merge u l l2");
    assert_eq!(scene.mounted(options, shown), was);
    let after = [
        "l/d-file",
        "l/new/f",
        "l/upper",
        "l/new/alone",
        "l/names",
        "l/other",
    ]
    .map(inode);
    assert_eq!(before, after);
    assert_eq!(std::fs::read(scene.at("l/two")).expect("a file"), b"data");
    assert!(inode("l/two") != inode("l/names") && inode("l/other") != inode("l/seen"));
    let owner = |path: &str| std::os::unix::fs::MetadataExt::uid(&stat(path));
    assert_eq!((owner("l/other"), owner("l/seen")), (5, 0));
    assert_eq!(scene.get("l/new", "redirect"), None);
}

#[test]
fn upper_on_another_file_system() {
    if !mount::possible() {
        return;
    }
    let scene = Scene::new();
    scene
        .dir("l/d")
        .file("l/d/f", "below")
        .file("l/gone", "below");
    let text = support::run(
        scene.root(),
        "mkdir t old new; mount -t tmpfs none t; mkdir t/u t/w
        layers=lowerdir=$PWD/l:$PWD/l2,upperdir=$PWD/t/u,workdir=$PWD/t/w
        show() { mount -i -t $type o -o $layers,redirect_dir=on m; }
        show; mv m/d m/moved; rm m/gone; echo above > m/moved/new; ln m/moved/new m/link
        cp -a m/. old; umount m
        $rovl merge t/u l; ls -A t/u
        show; diff -r old m; umount m; stat -c %h l/link; cat l/moved/f",
    );
    assert_eq!(text, "2\nbelow");
}

#[test]
fn refused() {
    if !mount::possible() {
        return;
    }
    let scene = Scene::new();
    scene.file("l/f", "below").file("u/f", "above").dir("u/in");
    let relative = |command: &str| {
        let mount = scene.mount_relative();
        let script = format!("{mount}; if $rovl {command} 2>&1; then exit 9; fi; umount m");
        let said = support::run(scene.root(), &script);
        assert!(said.contains("mounted with the relative path"), "{said}");
    };
    relative("merge u l");
    let said = support::run(
        scene.root(),
        "mount -i -t $type o -o lowerdir=$PWD/l:$PWD/l2,upperdir=$PWD/u,workdir=$PWD/w m
        if $rovl merge u l 2>&1; then exit 9; fi
        $rovl merge u l2 2>&1 || true
        umount m",
    );
    // As engines of containers do, and seen from another mount namespace.
    let links = support::run(
        scene.root(),
        "mkdir links; ln -s ../l2 links/short
        mount -i -t $type o -o lowerdir=links/short,upperdir=$PWD/u,workdir=$PWD/w m
        nsenter --mount=/proc/$PPID/ns/mnt --root=/proc/$PPID/root --wd=$PWD $rovl vacuum l l2 2>&1 || true
        umount m",
    );
    assert!(links.contains("mounted with the relative path"), "{links}");
    let count = said.matches("in use by the overlay at").count();
    assert_eq!(count, 2, "{said}");
    relative("vacuum l u");
    let refused = |args: &str| {
        let script = format!("if $rovl merge {args} 2>&1; then exit 9; fi");
        support::run(scene.root(), &script)
    };
    let said = refused("u/in u");
    assert!(said.contains("in a layer"), "{said}");
    let said = refused("u l --undo");
    assert!(said.contains("no interrupted run"), "{said}");
    assert_eq!(scene.list("u"), ["f", "in"]);
    assert_eq!(std::fs::read(scene.at("l/f")).expect("a file"), b"below");
}
