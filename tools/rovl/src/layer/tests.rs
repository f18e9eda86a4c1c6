// SPDX-License-Identifier: GPL-2.0

//! Layers that were made for it, on the file system of the temporary directory.

use super::*;
use ondisk::marker::Opaque;
use ondisk::Namespace::User;
use rustix::fs::{lsetxattr, XattrFlags};
use rustix::io::Errno;
use std::fs;
use std::os::unix::fs::symlink;

pub(crate) fn layer() -> (tempfile::TempDir, Layer) {
    let dir = tempfile::tempdir().expect("a directory");
    let layer = Layer::open(dir.path(), User).expect("a layer");
    (dir, layer)
}

pub(crate) fn set(path: &Path, name: &str, value: &[u8]) {
    lsetxattr(path, name, value, XattrFlags::empty()).expect("an attribute");
}

fn at(layer: &Layer, path: &str) -> Entry {
    let found = layer.at(&Place::of(path.as_bytes())).expect("no error");
    found.expect("something")
}

/// What a walk comes to, `<` before what it leaves.
fn walked(layer: &Layer) -> Vec<String> {
    let mut walk = layer.walk().expect("a walk");
    let mut seen = Vec::new();
    while let Some(visit) = walk.step().expect("a step") {
        let (sign, entry) = match visit {
            Visit::Enter(entry) => ("", entry),
            Visit::Leave(entry) => ("<", entry),
        };
        seen.push(sign.to_owned() + &String::from_utf8_lossy(&entry.place().to_bytes()));
    }
    seen
}

#[test]
fn links_are_not_followed() {
    let (dir, layer) = layer();
    fs::create_dir(dir.path().join("d")).unwrap();
    fs::write(dir.path().join("d/f"), "data").unwrap();
    symlink("d", dir.path().join("l")).unwrap();
    symlink("/etc", dir.path().join("out")).unwrap();
    assert_eq!(at(&layer, "l").kind(), Kind::Symlink);
    assert_eq!(at(&layer, "l").read_link().unwrap(), b"d");
    assert!(layer.at(&Place::of(b"l/f")).unwrap().is_none());
    assert!(layer.at(&Place::of(b"out/passwd")).unwrap().is_none());
    assert_eq!(
        std::io::read_to_string(at(&layer, "d/f").open_data().unwrap()).unwrap(),
        "data"
    );
    assert!(at(&layer, "l").open_data().is_err());
}

#[test]
fn only_names_are_names() {
    let (_dir, layer) = layer();
    let root = layer.root().unwrap();
    for name in ["", ".", "..", "a/b", "/etc", "a\0b"] {
        let error = root.child(name.as_bytes()).expect_err(name);
        assert_eq!(error.errno(), Some(Errno::ACCESS), "{error}");
    }
    assert!(root.child(&[b'x'; 255]).unwrap().is_none());
    assert_eq!(
        root.child(&[b'x'; 256]).unwrap_err().errno(),
        Some(Errno::NAMETOOLONG)
    );
}

#[test]
fn attributes_of_the_overlay_and_of_others() {
    let (dir, layer) = layer();
    let file = dir.path().join("f");
    fs::write(&file, "").unwrap();
    assert!(at(&layer, "f").whiteout().is_none());
    set(&file, "user.overlay.whiteout", b"");
    set(&file, "user.overlay.overlay.opaque", b"y");
    set(&file, "user.z", &[7; 300]);
    let entry = at(&layer, "f");
    assert_eq!(entry.whiteout(), Some(Whiteout::Xattr));
    assert_eq!(
        entry.user_xattrs().unwrap(),
        [
            (b"user.overlay.opaque".to_vec(), b"y".to_vec()),
            (b"user.z".to_vec(), vec![7; 300])
        ]
    );
    assert_eq!(entry.xattr(c"user.missing").unwrap(), None);
    assert_eq!(entry.opaque(), Opaque::No);

    fs::write(&file, "x").unwrap();
    assert_eq!(at(&layer, "f").whiteout(), None);
    set(dir.path(), "user.overlay.opaque", b"x");
    assert_eq!(layer.root().unwrap().opaque(), Opaque::XattrWhiteouts);
}

#[test]
fn attributes_of_symbolic_links() {
    let (dir, layer) = layer();
    symlink("nowhere", dir.path().join("l")).unwrap();
    assert_eq!(at(&layer, "l").xattr(c"user.x").unwrap(), None);
    assert!(at(&layer, "l")
        .xattr_names()
        .unwrap()
        .iter()
        .all(|name| !name.starts_with(b"user.")));
    if rustix::process::geteuid().is_root() {
        set(&dir.path().join("l"), "trusted.x", b"v");
        assert_eq!(
            at(&layer, "l").xattr(c"trusted.x").unwrap(),
            Some(b"v".to_vec())
        );
    }
}

#[test]
fn damaged_attributes() {
    let (dir, layer) = layer();
    let file = dir.path().join("f");
    fs::write(&file, "").unwrap();
    set(&file, "user.overlay.metacopy", b"123");
    set(&file, "user.overlay.redirect", b"a/b");
    let entry = at(&layer, "f");
    let inval = ondisk::Errno::Inval;
    assert!(
        matches!(entry.redirect().unwrap_err().cause(), Cause::Format(_, errno) if *errno == inval)
    );
    let error = entry.is_metacopy().unwrap_err().to_string();
    assert!(
        error.contains("/f: cannot use its metacopy attribute: metacopy file has too small"),
        "{error}"
    );
    set(&file, "user.overlay.metacopy", b"");
    assert!(at(&layer, "f").is_metacopy().unwrap());
    set(&file, "user.overlay.redirect", b"/a/b\0c");
    assert_eq!(at(&layer, "f").redirect().unwrap(), Some(b"/a/b".to_vec()));
}

#[test]
fn errors_escape_what_they_name() {
    let error = Error::system(b"a\x1b[31m\n", "open", Errno::XDEV).to_string();
    assert!(
        error.starts_with("a\\x1b[31m\\x0a: cannot open: "),
        "{error}"
    );
    assert!(
        error.ends_with("unmount it, or name a layer that does not contain it"),
        "{error}"
    );
    let long = Error::system(&[b'a'; 1 << 20], "open", Errno::NOENT).to_string();
    assert!(long.len() < 5000 && long.contains("a ... a"));
}

#[test]
fn walks_are_sorted() {
    let (dir, layer) = layer();
    for name in ["b", "a/y", "a/x"] {
        fs::create_dir_all(dir.path().join(name)).unwrap();
    }
    fs::write(dir.path().join("a/xx"), "").unwrap();
    let seen = [
        "", "a", "a/x", "<a/x", "a/xx", "a/y", "<a/y", "<a", "b", "<b", "<",
    ];
    assert_eq!(walked(&layer), seen);

    let mut walk = layer.walk().unwrap();
    walk.step().unwrap();
    walk.skip();
    assert!(walk.step().unwrap().is_none());
}

/// Makes directories in each other with descriptors, as no path is that long.
fn make_deep(dir: &Path, depth: usize) {
    let mut fd = fs::File::open(dir).unwrap();
    let name = "d".repeat(60);
    for _ in 0..depth {
        rustix::fs::mkdirat(&fd, &*name, 0o755.into()).unwrap();
        fd = rustix::fs::openat(&fd, &*name, OFlags::RDONLY, Mode::empty())
            .unwrap()
            .into();
    }
}

#[test]
fn deeper_than_paths_and_descriptors() {
    let (dir, layer) = layer();
    make_deep(dir.path(), 2000);
    let seen = walked(&layer);
    assert_eq!(seen.len(), 2 * 2001);
    assert_eq!(seen[2001], "<".to_owned() + &seen[2000]);
}

#[test]
fn what_was_replaced_is_not_found_again() {
    let (dir, layer) = layer();
    fs::create_dir_all(dir.path().join("a/b")).unwrap();
    let below = at(&layer, "a/b");
    let closed = at(&layer, "a").closed();
    assert_eq!(closed.open(Some(&below)).unwrap().place(), &Place::of(b"a"));
    fs::rename(dir.path().join("a"), dir.path().join("old")).unwrap();
    fs::create_dir(dir.path().join("a")).unwrap();
    assert_eq!(closed.open(None).unwrap_err().errno(), Some(Errno::STALE));
}
