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
