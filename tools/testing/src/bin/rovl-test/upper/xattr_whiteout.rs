// SPDX-License-Identifier: GPL-2.0
//! Whiteouts that are empty files with the attribute `whiteout`, in directories with `opaque=x`.

use std::path::Path;

use rovl_testing::dirent;
use rovl_testing::ops::{
    chmod, exists, link, mkdir, names, open_read, read, read_fd, rename, set, stat, unlink, write,
};
use rovl_testing::overlay_xattr::{OPAQUE, WHITEOUT};
use rovl_testing::{cases, errno, ok, Dir, Layers, Test};
use rustix::io::Errno;

cases! {
    in_several_layers,
    in_the_root,
    what_is_none,
    without_the_mark,
    in_the_lowest_layer,
    in_the_upper_layer,
    made_in_their_place,
    removal,
    after_copy_up,
    under_a_file_handle,
}

/// Makes `dir` a directory with `hidden` as whiteouts in it.
pub(crate) fn hide(layer: &Dir, dir: &str, hidden: &[&str]) {
    layer.dir(dir).xattr(dir, OPAQUE, "x");
    for name in hidden {
        let path = Path::new(dir).join(name);
        layer.file(&path, "").xattr(&path, WHITEOUT, "");
    }
}

/// A directory `d`, in the upper one of two layers with `gone` hidden, in the lower one with `gone`
/// and `stays`.
fn usual(t: &Test) -> Layers<'_> {
    let l = t.layers();
    hide(&l.lower(0), "d", &["gone"]);
    l.lower(1).file("d/gone", "x").file("d/stays", "stays");
    l
}

fn in_several_layers(t: &Test) {
    let l = t.layers();
    hide(&l.lower(0), "d", &["a", "nothing"]);
    l.lower(0).file("d/top", "");
    hide(&l.lower(1), "d", &["b", "top"]);
    l.lower(1).file("d/a", "x").file("d/middle", "");
    hide(&l.lower(2), "d", &["middle"]);
    l.lower(2).file("d/a/x", "").file("d/b", "x");
    l.lower(3).file("d/b", "x").file("d/bottom", "");
    for m in [l.mount(), l.mount_lowers()] {
        let shown = set(&["top", "middle", "bottom"]);
        assert_eq!(names(m.path("d")), shown);
        for name in ["a", "b", "nothing"] {
            assert!(!exists(m.path("d").join(name)), "{name}");
        }
        // Again, when all is known.
        assert_eq!(names(m.path("d")), shown);
        m.unmount();
    }
}

fn in_the_root(t: &Test) {
    let l = t.layers();
    hide(&l.lower(0), "", &["gone"]);
    l.lower(1).file("gone", "x").file("stays", "");
    let m = l.mount();
    assert_eq!(names(m.root()), set(&["stays"]));
    assert!(!exists(m.path("gone")));
}

fn what_is_none(t: &Test) {
    let l = t.layers();
    hide(&l.lower(0), "d", &[]);
    l.lower(0).dir("d/dir").xattr("d/dir", WHITEOUT, "");
    l.lower(0).file("d/data", "1").xattr("d/data", WHITEOUT, "");
    l.lower(0).file("d/empty", "");
    for name in ["dir/x", "data", "empty"] {
        l.lower(1).file(format!("d/{name}"), "lower");
    }
    let m = l.mount();
    assert_eq!(names(m.path("d")), set(&["dir", "data", "empty"]));
    assert_eq!(names(m.path("d/dir")), set(&["x"]));
    assert_eq!(read(m.path("d/data")), b"1");
    assert_eq!(read(m.path("d/empty")), b"");
}

/// The mark is for listings: a lookup looks at each empty file.
fn without_the_mark(t: &Test) {
    let l = t.layers();
    l.lower(0).file("d/gone", "").xattr("d/gone", WHITEOUT, "");
    l.lower(1).file("d/gone", "x");
    let m = l.mount();
    assert!(!exists(m.path("d/gone")));
    assert_eq!(names(m.path("d")), set(&["gone"]));
}

fn in_the_lowest_layer(t: &Test) {
    let l = t.layers();
    l.lower(0).dir("d");
    hide(&l.lower(1), "d", &["gone"]);
    hide(&l.lower(1), "pure", &["gone"]);
    let m = l.mount();
    for dir in ["d", "pure"] {
        assert!(!exists(m.path(dir).join("gone")));
    }
    assert_eq!(names(m.path("pure")), set(&["gone"]));
}

fn in_the_upper_layer(t: &Test) {
    let l = t.layers();
    hide(&l.upper(), "d", &["gone"]);
    l.lower(0).file("d/gone", "x").file("d/stays", "");
    let m = l.mount();
    assert!(!exists(m.path("d/gone")));
    assert_eq!(names(m.path("d")), set(&["gone", "stays"]));
    write(m.path("d/gone"), "new");
    assert_eq!(read(m.path("d/gone")), b"new");
    unlink(m.path("d/gone"));
    assert_eq!(names(m.path("d")), set(&["stays"]));
}

fn made_in_their_place(t: &Test) {
    let l = t.layers();
    hide(&l.lower(0), "d", &["file", "dir", "link", "renamed"]);
    for name in ["file", "dir/x", "link", "renamed", "stays"] {
        l.lower(1).file(format!("d/{name}"), "lower");
    }
    let m = l.mount();
    let path = |name: &str| m.path("d").join(name);
    write(path("file"), "new");
    mkdir(path("dir"));
    link(path("stays"), path("link"));
    rename(path("stays"), path("renamed"));
    assert_eq!(names(m.path("d")), set(&["file", "dir", "link", "renamed"]));
    assert!(names(path("dir")).is_empty());
    assert_eq!(read(path("file")), b"new");
    for name in ["link", "renamed"] {
        assert_eq!(read(path(name)), b"lower");
    }
    m.unmount();
    let m = l.mount();
    assert_eq!(names(m.path("d")), set(&["file", "dir", "link", "renamed"]));
    assert!(names(m.path("d/dir")).is_empty());
}

fn removal(t: &Test) {
    let l = usual(t);
    let m = l.mount();
    unlink(m.path("d/stays"));
    assert!(names(m.path("d")).is_empty());
    assert_eq!(errno(rustix::fs::unlink(m.path("d/gone"))), Errno::NOENT);
    // Whether the directory is empty is found out by the listings of the layers alone.
    assert_eq!(errno(rustix::fs::rmdir(m.path("d"))), Errno::NOTEMPTY);
    m.unmount();
    let m = l.mount();
    assert!(names(m.path("d")).is_empty());
}

fn after_copy_up(t: &Test) {
    let l = usual(t);
    let m = l.mount();
    let before = dirent::open(m.path("d"));
    assert_eq!(ok(dirent::try_read(&before, 4096)).len(), 3);
    chmod(m.path("d"), 0o700);
    dirent::seek_to(&before, 0);
    assert_eq!(ok(dirent::try_read(&before, 4096)).len(), 3);
    assert_eq!(names(m.path("d")), set(&["stays"]));
    write(m.path("d/new"), "");
    assert_eq!(names(m.path("d")), set(&["new", "stays"]));
    drop(before);
    m.unmount();
    let m = l.mount();
    assert_eq!(names(m.path("d")), set(&["new", "stays"]));
}

/// Open files stay what they are when the directory is read.
fn under_a_file_handle(t: &Test) {
    let l = usual(t);
    let m = l.mount();
    let file = open_read(m.path("d/stays"));
    let number = stat(m.path("d/stays")).st_ino;
    chmod(m.path("d/stays"), 0o600);
    let entries = dirent::read(m.path("d"));
    let entry = entries.iter().find(|entry| entry.name == "stays");
    assert_eq!(entry.map(|entry| entry.ino), Some(number));
    assert_eq!(read_fd(&file), b"stays");
}
