// SPDX-License-Identifier: GPL-2.0

//! What `commit` writes and `apply` reads shows the same tree in a mount.

mod common;

use common::{mount, open, random, seeds, tree, Layers};
use ondisk::Namespace;
use rovl::layer::Place;
use rovl::oci::apply::{apply, Options, Target};
use rovl::oci::{write_layer, Watch};
use rovl::stack::Stack;
use std::fs;
use std::path::Path;

/// Nothing may be left out.
struct All;

impl Watch for All {
    fn at(&mut self, _: &Place) {}

    fn note(&mut self, message: String) {
        panic!("{message}");
    }

    fn left_out(&mut self, message: String) {
        panic!("{message}");
    }
}

fn commit(stack: &Stack) -> Vec<u8> {
    write_layer(stack, Vec::new(), rovl::oci::Options::default(), &mut All).expect("an archive")
}

fn unpack(archive: &[u8], to: &Path, xattr_whiteouts: bool) {
    fs::create_dir(to).expect("a directory");
    let options = Options {
        namespace: Namespace::Trusted,
        xattr_whiteouts,
        owners: true,
    };
    let root = fs::File::open(to).expect("the directory").into();
    apply(archive, &mut Target::new(root, options), &mut All).expect("a layer");
}

/// Which names are one file depends on the layers of all of them.
fn without_links(mut tree: tree::Tree) -> tree::Tree {
    tree.values_mut().for_each(|object| object.same_as = None);
    tree
}

fn check(layers: &Layers, seed: u64) {
    let options = ["redirect_dir=on", "metacopy=on", "index=off"];
    let wanted = without_links(tree::read(&layers.mount(&options).path()));
    let archive = commit(&layers.stack());
    assert!(
        archive == commit(&layers.stack()),
        "seed {seed}: not the same twice"
    );

    // As a layer of its own above the others.
    let applied = layers.dir.path().join("applied");
    unpack(&archive, &applied, false);
    let above: Vec<_> = [applied.clone()]
        .into_iter()
        .chain(layers.lower.clone())
        .collect();
    let shown = without_links(tree::read(&mount::overlay(&above, None, &options).path()));
    tree::assert_same(&format!("seed {seed}"), &wanted, &shown);

    // With whiteouts of the other form.
    let other = layers.dir.path().join("xattr");
    unpack(&archive, &other, true);
    let above: Vec<_> = [other].into_iter().chain(layers.lower.clone()).collect();
    let shown = without_links(tree::read(&mount::overlay(&above, None, &options).path()));
    tree::assert_same(&format!("seed {seed}, by attributes"), &wanted, &shown);

    // It says the same again, and the lower layers are not needed any more.
    let lower = layers.lower.iter().map(|path| open(path)).collect();
    let stack = Stack::new(Some(open(&applied)), lower, Vec::new()).unwrap();
    assert!(archive == commit(&stack), "seed {seed}: another archive");
    let alone = Stack::new(Some(open(&applied)), Vec::new(), Vec::new()).unwrap();
    assert!(
        archive == commit(&alone),
        "seed {seed}: another archive alone"
    );
}

#[test]
fn random_layers() {
    if !mount::possible() {
        return;
    }
    for seed in seeds(40) {
        let mut random = random::Random::new(seed);
        let options: &[&str] = match seed % 2 {
            0 => &["redirect_dir=on", "metacopy=on", "index=off"],
            _ => &["redirect_dir=on", "metacopy=off", "index=off"],
        };
        check(&random::layers(&mut random, 2, options), seed);
    }
}

/// What `left_out` was told.
#[derive(Default)]
struct Told(Vec<String>);

impl Watch for Told {
    fn at(&mut self, _: &Place) {}

    fn note(&mut self, message: String) {
        self.0.push(message);
    }

    fn left_out(&mut self, message: String) {
        self.0.push(message);
    }
}

#[test]
fn names_that_only_the_index_knows() {
    if !mount::possible() {
        return;
    }
    let dir = common::fast_dir();
    let [lower, upper, work] = ["lower", "upper", "work"].map(|name| dir.path().join(name));
    for dir in [&lower, &upper, &work] {
        fs::create_dir(dir).unwrap();
    }
    for (first, second) in [("a", "b"), ("c", "d")] {
        fs::write(lower.join(first), "old").unwrap();
        fs::hard_link(lower.join(first), lower.join(second)).unwrap();
    }
    let lower = [lower.clone()];
    let mounted = mount::overlay(&lower, Some((&upper, &work)), &["index=on"]);
    fs::write(mounted.path().join("a"), "new").unwrap();
    for name in ["c", "d"] {
        fs::write(mounted.path().join(name), "new").unwrap();
    }
    if fs::read(mounted.path().join("b")).unwrap() != b"new" {
        return println!("skipped: this file system has no file handles for an index");
    }
    // Both names of the second file are made in the upper layer by a change of theirs.
    fs::rename(mounted.path().join("c"), mounted.path().join("e")).unwrap();
    fs::rename(mounted.path().join("d"), mounted.path().join("f")).unwrap();
    drop(mounted);
    let stack = Stack::new(Some(open(&upper)), vec![open(&lower[0])], Vec::new()).unwrap();
    let mut told = Told::default();
    write_layer(&stack, Vec::new(), rovl::oci::Options::default(), &mut told).unwrap();
    let expected =
        "a: 1 other name of this file is in lower layers only: there the image has the old content";
    assert_eq!(told.0, [expected]);
}
