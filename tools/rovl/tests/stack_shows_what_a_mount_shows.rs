// SPDX-License-Identifier: GPL-2.0

//! What a stack shows, beside a mount of the same layers.

mod common;

use common::tree::{Object, Tree};
use common::{mount, random, seeds, tree};
use rovl::stack::{Stack, Visit};
use std::io::Read;

/// The picture of what the stack shows. What objects are the same is left out.
fn picture(stack: &Stack) -> Tree {
    let mut walk = stack.walk().expect("a walk");
    let mut picture = Tree::new();
    while let Some(visit) = walk.step().expect("a step") {
        let Visit::Enter(node) = visit else { continue };
        let stat = node.stat();
        let mut content = Vec::new();
        match node.kind() {
            rovl::layer::Kind::File => {
                let mut data = stack.open_data(&node).expect("data");
                data.read_to_end(&mut content).expect("data");
            }
            rovl::layer::Kind::Symlink => content = node.entry().read_link().expect("a link"),
            _ => {}
        }
        let object = Object {
            mode: stat.mode,
            owner: (stat.uid, stat.gid),
            rdev: rustix::fs::makedev(stat.rdev.0, stat.rdev.1),
            mtime: (stat.mtime.sec, stat.mtime.nsec.into()),
            content,
            xattrs: node
                .entry()
                .user_xattrs()
                .expect("attributes")
                .into_iter()
                .collect(),
            same_as: None,
        };
        picture.insert(node.place().to_bytes(), object);
    }
    picture
}

#[test]
fn random_stacks() {
    if !mount::possible() {
        return;
    }
    let mut seen = 0;
    for seed in seeds(30) {
        let mut random = random::Random::new(seed);
        let options: &[&str] = match seed % 3 {
            0 => &["redirect_dir=on", "metacopy=on", "index=off"],
            1 => &["redirect_dir=on", "metacopy=on", "index=on"],
            _ => &["redirect_dir=off", "metacopy=off", "index=off"],
        };
        let layers = random::layers(&mut random, 3, options);
        let mounted = layers.mount(&["redirect_dir=on", "metacopy=on", "index=off"]);
        let mut shown = tree::read(&mounted.path());
        for object in shown.values_mut() {
            object.same_as = None;
        }
        seen += marks(&layers.stack());
        tree::assert_same(&format!("seed {seed}"), &shown, &picture(&layers.stack()));
    }
    // The layers are worth comparing.

    assert!(seen > 0, "no redirect and no file without data");
}

/// How many objects of the layers are only part of what is shown.
fn marks(stack: &Stack) -> usize {
    let mut marks = 0;
    for layer in stack.layers() {
        let mut walk = layer.walk().expect("a walk");
        while let Some(visit) = walk.step().expect("a step") {
            if let rovl::layer::Visit::Enter(entry) = visit {
                let redirect = entry.redirect().expect("an attribute").is_some();
                marks += usize::from(redirect || entry.is_metacopy().expect("an attribute"));
            }
        }
    }
    marks
}
