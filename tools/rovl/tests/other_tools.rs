// SPDX-License-Identifier: GPL-2.0

//! Images that `commit` makes, unpacked by umoci and copied by skopeo, if these are there.

mod common;
mod support;

use common::{mount, random, seeds, tree, Layers};
use std::path::Path;
use std::process::Command;

fn runs(program: &str, args: &[&str], dir: &Path) -> bool {
    let output = Command::new(program).args(args).current_dir(dir).output();
    let Ok(output) = output else {
        println!("skipped: no {program} here");
        return false;
    };
    let text = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{program} {args:?}: {text}");
    true
}

/// Makes an image of all layers, the lowest first.
fn image(layers: &Layers) {
    let all: Vec<_> = layers.lower.iter().rev().chain([&layers.upper]).collect();
    for number in 0..all.len() {
        let mut command = Command::new(support::rovl());
        command.args(["commit", "--oci", "img", "--tag", "t", "--trusted"]);
        let lower = all.iter().take(number).rev();
        command
            .args(lower)
            .arg(all[number])
            .current_dir(layers.dir.path());
        let output = command.output().unwrap();
        let text = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{text}");
    }
}

#[test]
fn umoci_and_skopeo_take_images() {
    if !mount::possible() {
        return;
    }
    for seed in seeds(8) {
        let mut random = random::Random::new(seed);
        let options = ["redirect_dir=on", "metacopy=on", "index=off"];
        let layers = random::layers(&mut random, 2, &options);
        let dir = layers.dir.path();
        image(&layers);
        let args = ["--insecure-policy", "copy", "-q", "oci:img:t", "oci:copy:t"];
        let copied = runs("skopeo", &args, dir);
        let from = if copied { "copy:t" } else { "img:t" };
        if !runs("umoci", &["unpack", "--image", from, "bundle"], dir) {
            return;
        }
        let mut wanted = tree::read(&layers.mount(&options).path());
        let mut shown = tree::read(&dir.join("bundle/rootfs"));
        for object in wanted.values_mut().chain(shown.values_mut()) {
            // Which names are one file depends on the layers of all of them.
            object.same_as = None;
            // umoci leaves these out.
            object
                .xattrs
                .retain(|name, _| !name.starts_with(b"trusted.overlay."));
        }
        tree::assert_same(&format!("seed {seed}"), &wanted, &shown);
    }
}
