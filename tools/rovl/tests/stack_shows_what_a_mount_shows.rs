// SPDX-License-Identifier: GPL-2.0

//! What a stack shows, beside a mount of the same layers.

mod common;

use common::tree::{Object, Tree};
use common::{mount, random, seeds, tree};
use rovl::stack::{Stack, Visit};
use std::io::Read;
use std::path::PathBuf;

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

/// Files whose data is in layers that have nothing but that.
#[test]
fn data_only_layers() {
    if !mount::possible() {
        return;
    }
    let dir = common::fast_dir();
    let layer = |name: &str, paths: &[&str]| {
        let root = dir.path().join(name);
        for path in paths {
            let path = root.join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, "data").unwrap();
        }
        root
    };
    let upper = layer("upper", &["own", "far", "up"]);
    let lower = layer("lower", &["far", "near"]);
    let lowest = layer("lowest", &["far", "other"]);
    let data = [
        layer("data1", &["x/other"]),
        layer("data2", &["x/a", "x/b", "x/c"]),
    ];
    let set = |path: PathBuf, redirect: &str| {
        let set = |name, value: &str| {
            rustix::fs::setxattr(
                &path,
                name,
                value.as_bytes(),
                rustix::fs::XattrFlags::empty(),
            )
        };
        set("trusted.overlay.metacopy", "").unwrap();
        if !redirect.is_empty() {
            set("trusted.overlay.redirect", redirect).unwrap();
        }
    };
    set(upper.join("far"), "");
    set(lower.join("far"), "");
    set(lowest.join("far"), "/x/a");
    set(lower.join("near"), "/x/../x/./b");
    set(lowest.join("other"), "/x/c");
    let merged = [upper, lower, lowest];
    let mounted = mount::overlay_with_data(&merged, &data);
    let open = |paths: &[PathBuf]| paths.iter().map(|path| common::open(path)).collect();
    let stack = Stack::new(None, open(&merged), open(&data)).unwrap();
    let shown = tree::read(&mounted.path());
    assert_eq!(shown.len(), 6);
    tree::assert_same("data", &shown, &picture(&stack));
}
