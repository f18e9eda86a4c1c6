// SPDX-License-Identifier: GPL-2.0
//! Names in the root that are cached while layers come and go: those of these layers lead elsewhere, and only those.

use rovl_testing::ops::{exists, mkdir, names, read, rename, set, stat, unlink, write};
use rovl_testing::stack::Live;
use rovl_testing::tree::Snapshot;
use rovl_testing::{cases, Dir, Test};

use super::ours;
use super::push_and_drop::{assert_as_mounted, layer};
use crate::names::casefold::{Folded, FOLDED};

cases! {
    every_kind_of_name,
    not_looked_at_between_changes,
    more_than_are_kept,
    other_name_in_a_middle_layer,
    other_name_in_the_upper_layer,
    rolled_back,
    in_any_case,
}

/// Has all names below be cached, those that are free, too.
fn look(m: &Live<'_>) {
    for name in ["low", "dir", "free", "gone", "new", "up"] {
        // Also what is no directory.
        let _ = std::fs::symlink_metadata(m.path(name).join("f"));
    }
}

fn every_kind_of_name(t: &Test) {
    let Some(l) = ours(t) else {
        return;
    };
    l.lower(0)
        .file("low", "low")
        .file("dir/f", "low")
        .file("gone/f", "low")
        .file("other/f", "low");
    let m = Live::mount(t, &l);
    write(m.path("up"), "up");
    let new = layer(&l, "added");
    new.file("low", "added")
        .file("dir/g", "added")
        .whiteout("gone")
        .file("new/f", "added")
        .file("up", "added");
    let other = stat(m.path("other/f"));
    look(&m);
    for _ in 0..3 {
        let before = Snapshot::of(m.root());
        m.push(new.root(), "added");
        assert_eq!(read(m.path("low")), b"added");
        assert_eq!(read(m.path("dir/f")), b"low");
        assert_eq!(read(m.path("dir/g")), b"added");
        assert!(!exists(m.path("gone")) && !exists(m.path("gone/f")));
        assert_eq!(read(m.path("new/f")), b"added");
        assert_eq!(read(m.path("up")), b"up");
        assert_eq!(stat(m.path("other/f")).st_ino, other.st_ino);
        look(&m);
        m.drop_at(1);
        before.assert_same(&Snapshot::of(m.root()));
        look(&m);
    }
}

fn not_looked_at_between_changes(t: &Test) {
    let Some(l) = ours(t) else {
        return;
    };
    l.lower(0)
        .file("a", "low")
        .file("b", "low")
        .file("c", "low");
    let m = Live::mount(t, &l);
    let [first, second, third] = ["a", "b", "c"].map(|name| {
        let added = layer(&l, &format!("with-{name}"));
        added.file(name, "added");
        added
    });
    let shown = |m: &Live<'_>| ["a", "b", "c"].map(|name| read(m.path(name)));
    let all = |text: &str| [(); 3].map(|()| text.as_bytes().to_vec());
    assert_eq!(shown(&m), all("low"));
    // What was found before all three is asked for after them.
    for added in [&first, &second, &third] {
        m.push(added.root(), "");
    }
    assert_eq!(shown(&m), all("added"));
    for _ in 0..3 {
        m.drop_at(1);
    }
    assert_eq!(shown(&m), all("low"));
}

fn more_than_are_kept(t: &Test) {
    let Some(l) = ours(t) else {
        return;
    };
    l.lower(0).file("first", "low").file("f7", "low");
    let m = Live::mount(t, &l);
    assert!(!exists(m.path("f8")));
    assert_eq!(read(m.path("f7")), b"low");
    // With the first ones, many small changes; with the last, one that is too large.
    for (number, count) in [200, 200, 200, 200, 600].into_iter().enumerate() {
        let added = layer(&l, &format!("many{number}"));
        for name in 0..count {
            added.file(format!("f{name}"), number.to_string());
        }
        m.push(added.root(), "");
        for name in ["f7", "f8"] {
            assert_eq!(read(m.path(name)), number.to_string().as_bytes());
        }
        assert_eq!(read(m.path("first")), b"low");
    }
    for number in (0..4).rev() {
        m.drop_at(1);
        assert_eq!(read(m.path("f8")), number.to_string().as_bytes());
        assert_eq!(read(m.path("first")), b"low");
    }
    m.drop_at(1);
    assert!(!exists(m.path("f8")));
    assert_eq!(names(m.root()), set(&["f7", "first"]));
}

/// A directory of the layer `name` that is `from` in the layers below, as a rename leaves it.
fn renamed_in(dir: &Dir, name: &str, from: &str) {
    dir.dir(name).xattr(name, "trusted.overlay.redirect", from);
}

fn other_name_in_a_middle_layer(t: &Test) {
    let Some(l) = ours(t) else {
        return;
    };
    l.lower(1).file("from/low", "low");
    let middle = l.lower(0);
    middle.file("plain", "middle");
    renamed_in(&middle, "to", "from");
    let m = Live::mount_as(t, &l, l.request().set("redirect_dir", "on"));
    assert_eq!(read(m.path("to/low")), b"low");
    // It has no directory "to", and is below the one that has.
    let bottom = layer(&l, "bottom");
    bottom.file("from/added", "added");
    m.push(bottom.root(), "");
    assert!(!exists(m.path("to/added")));
    let again = layer(&l, "again");
    renamed_in(&again, "to", "from");
    m.push(again.root(), "");
    assert_as_mounted(t, &l, &m);
    assert_eq!(read(m.path("to/added")), b"added");
    // The layer with "from" goes, which has no other name.
    m.drop_at(2);
    assert!(!exists(m.path("to/added")));
    assert_as_mounted(t, &l, &m);
}

fn other_name_in_the_upper_layer(t: &Test) {
    let Some(l) = ours(t) else {
        return;
    };
    l.lower(0).file("from/low", "low");
    let m = Live::mount_as(t, &l, l.request().set("redirect_dir", "on"));
    rename(m.path("from"), m.path("to"));
    assert_eq!(names(m.path("to")), set(&["low"]));
    let added = layer(&l, "added");
    added.file("from/added", "added");
    m.push(added.root(), "");
    assert_eq!(names(m.path("to")), set(&["added", "low"]));
    assert!(!exists(m.path("from")));
    m.drop_at(1);
    assert_eq!(names(m.path("to")), set(&["low"]));
}

fn rolled_back(t: &Test) {
    let Some(l) = ours(t) else {
        return;
    };
    l.lower(0)
        .file("low", "low")
        .file("dir/f", "low")
        .file("gone", "low");
    let m = Live::mount(t, &l);
    m.checkpoint("first");
    let before = Snapshot::of(m.root());
    look(&m);
    write(m.path("low"), "changed");
    write(m.path("new"), "new");
    write(m.path("dir/f"), "changed");
    unlink(m.path("gone"));
    mkdir(m.path("free"));
    look(&m);
    m.rollback("first");
    assert!(!exists(m.path("new")) && !exists(m.path("free")));
    assert_eq!(read(m.path("low")), b"low");
    before.assert_same(&Snapshot::of(m.root()));
}

fn in_any_case(t: &Test) {
    if !t.is_rovl() {
        return;
    }
    let fs = Folded::new(&t.dir(), FOLDED);
    let l = fs.layers(t);
    l.lower(0).file("Name", "low").file("Dir/f", "low");
    let m = Live::mount(t, &l);
    assert_eq!(read(m.path("name")), b"low");
    assert_eq!(read(m.path("DIR/f")), b"low");
    let added = layer(&l, "added");
    added.file("NAME", "added").file("dir/g", "added");
    m.push(added.root(), "");
    assert_eq!(read(m.path("name")), b"added");
    assert_eq!(names(m.path("Dir")), set(&["f", "g"]));
    m.drop_at(1);
    assert_eq!(read(m.path("Name")), b"low");
    assert_eq!(names(m.path("Dir")), set(&["f"]));
}
