// SPDX-License-Identifier: GPL-2.0
//! Redirects, by which other directories than its own have a say in what a name leads to, where layers come and go.

use rovl_testing::ops::{exists, names, ok, read, rename, set, setxattr, write};
use rovl_testing::stack::Live;
use rovl_testing::{cases, Test};

use super::ours;
use super::push_and_drop::{assert_as_mounted, drop_caches, layer, CACHES};

cases! {
    renamed_directories,
    renamed_to_where_nothing_changes,
    redirects_in_lower_layers,
}

fn renamed_directories(t: &Test) {
    let Some(l) = ours(t) else {
        return;
    };
    l.lower(0).file("a/b/f", "f").file("a/g", "g");
    let m = Live::mount_as(t, &l, l.request().set("redirect_dir", "on"));
    rename(m.path("a/b"), m.path("moved"));
    rename(m.path("a"), m.path("moved/a"));
    let new = layer(&l, "new");
    new.file("a/b/new", "new")
        .file("a/new", "new")
        .file("a/b/f", "other");
    let check = |pushed: bool| {
        let (f, more): (&[u8], _) = if pushed {
            (b"other", set(&["a", "f", "new"]))
        } else {
            (b"f", set(&["a", "f"]))
        };
        assert_eq!(read(m.path("moved/f")), f);
        assert_eq!(names(m.path("moved")), more);
        assert_eq!(exists(m.path("moved/a/new")), pushed);
        assert!(!exists(m.path("a")) && !exists(m.path("moved/a/b")));
        assert_as_mounted(t, &l, &m);
    };
    for cached in CACHES {
        check(false);
        m.push(new.root(), "p");
        drop_caches(cached);
        check(true);
        m.drop_at(1);
        drop_caches(cached);
    }
    check(false);
}

/// What is below a name is somewhere else, and that changes, while nothing of the layer is in the directory of the name.
fn renamed_to_where_nothing_changes(t: &Test) {
    let Some(l) = ours(t) else {
        return;
    };
    l.lower(0)
        .file("a/dir/f", "f")
        .file("a/file", "file")
        .file("b/c/other", "other");
    let m = Live::mount_as(t, &l, l.request().set("redirect_dir", "on"));
    rename(m.path("a/dir"), m.path("b/c/dir"));
    rename(m.path("a/file"), m.path("b/c/file"));
    let new = layer(&l, "new");
    new.file("a/dir/new", "new").file("a/dir/deep/new", "");
    let check = |pushed: bool, when: &str| {
        let shown = if pushed {
            set(&["deep", "f", "new"])
        } else {
            set(&["f"])
        };
        assert_eq!(exists(m.path("b/c/dir/new")), pushed, "{when}");
        assert_eq!(exists(m.path("b/c/dir/deep/new")), pushed);
        assert_eq!(names(m.path("b/c/dir")), shown);
        assert_eq!(read(m.path("b/c/file")), b"file");
        assert_eq!(names(m.path("b/c")), set(&["dir", "file", "other"]));
    };
    for cached in CACHES {
        check(false, "before");
        m.push(new.root(), "p");
        drop_caches(cached);
        check(true, "with the layer");
        m.drop_at(1);
        drop_caches(cached);
    }
    check(false, "without it");
    m.push(new.root(), "p");
    m.checkpoint("with it");
    check(true, "after a checkpoint");
    write(m.path("b/c/dir/up"), "");
    m.rollback("with it");
    check(true, "rolled back");
    m.drop_at(2);
    check(false, "at the end");
    assert_as_mounted(t, &l, &m);
}

/// A layer says from the start that what is below a name is somewhere else.
fn redirects_in_lower_layers(t: &Test) {
    let Some(l) = ours(t) else {
        return;
    };
    let top = l.lower(0);
    top.file("d/x/own", "").file("d/copied/own", "");
    for (dir, to) in [("d/x", "/y"), ("d/copied", "/z")] {
        ok(setxattr(top.path(dir), "trusted.overlay.redirect", to));
    }
    l.lower(1).file("y/f", "").file("z/f", "");
    let m = Live::mount_as(t, &l, l.request().set("redirect_dir", "on"));
    write(m.path("d/copied/new"), "");
    assert_eq!(names(m.path("d/x")), set(&["f", "own"]));
    assert_eq!(names(m.path("d/copied")), set(&["f", "new", "own"]));
    m.drop_at(2);
    assert!(!exists(m.path("d/x/f")) && !exists(m.path("d/copied/f")));
    assert_eq!(names(m.path("d/x")), set(&["own"]));
    assert_eq!(names(m.path("d/copied")), set(&["new", "own"]));
    assert_as_mounted(t, &l, &m);
}
