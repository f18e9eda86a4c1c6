// SPDX-License-Identifier: GPL-2.0

//! Layers with attributes of overlays that make no sense: where a mount shows something, the stack shows the
//! same, where it fails, so does the stack, and no command comes to another end than an error.

mod common;

use common::random::Random;
use common::{another, mount, open, random, seeds, Layers};
use rovl::changes::{compare, of_layer, Options};
use rovl::layer::{Kind, Place};
use rovl::oci::{write_layer, Watch};
use rovl::stack::{Node, Stack};
use rustix::fs::{Mode, OFlags, RawDir};
use std::collections::BTreeMap;
use std::fs;
use std::io::Read;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// Values of attributes, of which most are wrong.
const DAMAGE: &[(&str, &[u8])] = &[
    ("opaque", b"y"),
    ("opaque", b"x"),
    ("opaque", b"yy"),
    ("opaque", b""),
    ("redirect", b"a"),
    ("redirect", b"dir"),
    ("redirect", b"/a"),
    ("redirect", b"/dir/a"),
    ("redirect", b"/b/dir/c"),
    ("redirect", b""),
    ("redirect", b".."),
    ("redirect", b"/.."),
    ("redirect", b"/a/../b"),
    ("redirect", b"/"),
    ("redirect", b"//a"),
    ("redirect", b"a/b"),
    ("redirect", b"/a/"),
    ("redirect", b"a\0/"),
    ("metacopy", b""),
    ("metacopy", b"123"),
    ("metacopy", b"\0\x04\0\0"),
    ("metacopy", b"\0\x09\0\x0112345"),
    ("whiteout", b"y"),
    ("origin", b"damaged"),
    ("nlink", b"U+99999999999"),
];

/// All objects of a layer.
fn objects(root: &Path) -> Vec<PathBuf> {
    let (mut all, mut next) = (vec![root.to_owned()], 0);
    while let Some(path) = all.get(next).cloned() {
        next += 1;
        if fs::symlink_metadata(&path).unwrap().is_dir() {
            all.extend(
                fs::read_dir(path)
                    .unwrap()
                    .map(|entry| entry.unwrap().path()),
            );
        }
    }
    all
}

fn damage(random: &mut Random, layers: &Layers) {
    for root in layers.lower.iter().chain([&layers.upper]) {
        let mut objects = objects(root);
        objects.sort();
        for _ in 0..4 {
            let path = random.choose(&objects);
            let (name, value) = random.choose(DAMAGE);
            let name = format!("trusted.overlay.{name}");
            // Not on all types.
            let _ = rustix::fs::lsetxattr(path, name, value, rustix::fs::XattrFlags::empty());
            if fs::symlink_metadata(path).unwrap().is_file() && random.below(3) == 0 {
                fs::write(path, "").unwrap();
            }
        }
    }
}

/// What is shown of an object, or that it cannot be looked at.
type Shown = Result<(u32, u32, Option<Vec<u8>>), ()>;

fn join(dir: &[u8], name: &[u8]) -> Vec<u8> {
    match dir {
        b"" => name.to_vec(),
        _ => [dir, b"/", name].concat(),
    }
}

/// What a directory lists. That fails once for each name whose inode number cannot be found, and leaves that
/// out then.
fn names(dir: &Path) -> Vec<Vec<u8>> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY;
    let fd = rustix::fs::open(dir, flags, Mode::empty()).unwrap();
    let mut buffer = Vec::with_capacity(1 << 15);
    let mut listing = RawDir::new(fd, buffer.spare_capacity_mut());
    let (mut names, mut errors) = (Vec::new(), 0);
    while let Some(entry) = listing.next() {
        match entry {
            Ok(entry) => names.push(entry.file_name().to_bytes().to_vec()),
            Err(_) => errors += 1,
        }
        // It may fail again and again; what is there can be looked up still.
        if errors > 100 {
            break;
        }
    }
    names.retain(|name| name != b"." && name != b"..");
    names
}

/// What a mount shows at a path, if there is something.
fn at(full: &Path) -> Option<Shown> {
    match fs::symlink_metadata(full) {
        Ok(meta) => {
            let data = meta.is_file().then(|| fs::read(full).unwrap());
            Some(Ok((meta.mode(), meta.uid(), data)))
        }
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => None,
        Err(_) => Some(Err(())),
    }
}

fn of_mount(root: &Path) -> BTreeMap<Vec<u8>, Shown> {
    let mut shown = BTreeMap::new();
    let mut todo = vec![Vec::new()];
    while let Some(path) = todo.pop() {
        let full = root.join(std::ffi::OsStr::from_bytes(&path));
        let Some(found) = at(&full) else {
            continue;
        };
        if found
            .as_ref()
            .is_ok_and(|(mode, ..)| mode & 0o170_000 == 0o040_000)
        {
            todo.extend(names(&full).iter().map(|name| join(&path, name)));
        }
        shown.insert(path, found);
    }
    shown
}

fn of_node(stack: &Stack, node: &Node) -> (u32, u32, Option<Vec<u8>>) {
    let data = (node.kind() == Kind::File).then(|| {
        let mut data = Vec::new();
        stack
            .open_data(node)
            .unwrap()
            .read_to_end(&mut data)
            .unwrap();
        data
    });
    (node.stat().mode, node.stat().uid, data)
}

fn of_stack(stack: &Stack) -> BTreeMap<Vec<u8>, Shown> {
    let mut shown = BTreeMap::new();
    let mut todo = vec![stack.root().unwrap()];
    while let Some(node) = todo.pop() {
        shown.insert(node.place().to_bytes(), Ok(of_node(stack, &node)));
        if node.kind() != Kind::Dir {
            continue;
        }
        for name in stack.names(&node).unwrap() {
            match stack.lookup(&node, &name) {
                Ok(Some(below)) => todo.push(below),
                Ok(None) => {}
                Err(_) => {
                    shown.insert(node.place().child(&name).to_bytes(), Err(()));
                }
            }
        }
    }
    shown
}

/// Compares what is shown, and returns how much cannot be looked at.
fn compare_with(
    mounted: &Path,
    wanted: &BTreeMap<Vec<u8>, Shown>,
    shown: &BTreeMap<Vec<u8>, Shown>,
    seed: u64,
) -> usize {
    let mut failures = 0;
    let mut stale: Vec<Vec<u8>> = Vec::new();
    for path in wanted.keys().chain(shown.keys()) {
        let full = mounted.join(std::ffi::OsStr::from_bytes(path));
        let unlisted = at(&full).filter(|_| !wanted.contains_key(path));
        let (one, two) = (wanted.get(path).or(unlisted.as_ref()), shown.get(path));
        // What is only listed has nothing to look at, and what fails may not be listed.
        let fails = |shown: Option<&Shown>| shown.is_none_or(Result::is_err);
        if fails(one) && fails(two) {
            failures += 1;
            continue;
        }
        // Of two directories that merge with the same one below, a mount shows that which comes first.
        let error = fs::symlink_metadata(full).err();
        if error.is_some_and(|error| error.raw_os_error() == Some(ESTALE)) {
            stale.push(join(path, b""));
        }
        if stale.iter().any(|stale| join(path, b"").starts_with(stale)) {
            continue;
        }
        let shown = String::from_utf8_lossy(path);
        assert!(one == two, "seed {seed}: {shown:?}: {one:?} {two:?}");
    }
    failures
}

/// The error for a second directory with the same lower one.
const ESTALE: i32 = 116;

struct Silent;

impl Watch for Silent {
    fn at(&mut self, _: &Place) {}

    fn note(&mut self, _: String) {}

    fn left_out(&mut self, _: String) {}
}

#[test]
fn random_damage() {
    if !mount::possible() {
        return;
    }
    let mut failures = 0;
    for seed in seeds(60).start.. {
        if !another(seed, 60, failures > 0) {
            break;
        }
        let mut random = Random::new(seed);
        let options = ["redirect_dir=on", "metacopy=on", "index=off"];
        let layers = random::layers(&mut random, 2, &options);
        damage(&mut random, &layers);
        let stack = layers.stack();
        let mounted = layers.mount(&options);
        let (wanted, shown) = (of_mount(&mounted.path()), of_stack(&stack));
        failures += compare_with(&mounted.path(), &wanted, &shown, seed);
        let lower = layers.lower.iter().map(|path| open(path)).collect();
        let before = Stack::new(None, lower, Vec::new()).unwrap();
        compare(&before, &stack, Options { times: true }).unwrap();
        of_layer(&open(&layers.upper)).unwrap();
        for path in wanted.keys() {
            let _ = stack.explain(&Place::of(path));
        }
        let _ = write_layer(
            &stack,
            Vec::new(),
            rovl::oci::Options::default(),
            &mut Silent,
        );
    }
    assert!(failures > 0, "nothing was damaged");
}
