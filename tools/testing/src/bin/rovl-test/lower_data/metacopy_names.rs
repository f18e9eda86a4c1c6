// SPDX-License-Identifier: GPL-2.0
//! `metacopy`: files without data that are renamed and linked, or are in several layers.

use rovl_testing::ops::{
    chmod, getxattr, link, names, open_write, read, rename, set, stat, unlink,
};
use rovl_testing::overlay_xattr::REDIRECT;
use rovl_testing::{cases, errno, ok, Test};
use rustix::fs::{renameat_with, RenameFlags, CWD};
use rustix::io::Errno;

use crate::lower_data::metacopy::{data, is_metacopy, mount, truncate, METACOPY};

cases! {
    renamed_within_the_directory,
    renamed_to_another_directory,
    renamed_and_written,
    hard_link,
    lower_hard_link_renamed,
    exchanged,
    replaced_and_removed,
    in_a_renamed_directory,
    over_a_lower_metacopy,
    three_of_them,
    absolute_redirect_leads_to_all_layers,
}

fn renamed_within_the_directory(t: &Test) {
    let l = t.layers();
    l.lower(0).file("d/f", data());
    let m = mount(t, &l);
    rename(m.path("d/f"), m.path("d/g"));
    assert!(is_metacopy(&l, "d/g"));
    assert_eq!(ok(getxattr(l.upper().path("d/g"), REDIRECT)), b"f");
    drop(m);
    let m = mount(t, &l);
    assert_eq!(read(m.path("d/g")), data());
    assert_eq!(names(m.path("d")), set(&["g"]));
}

fn renamed_to_another_directory(t: &Test) {
    let l = t.layers();
    l.lower(0).file("d/f", data()).dir("e");
    let m = mount(t, &l);
    rename(m.path("d/f"), m.path("e/g"));
    assert_eq!(ok(getxattr(l.upper().path("e/g"), REDIRECT)), b"/d/f");
    drop(m);
    let m = mount(t, &l);
    assert_eq!(read(m.path("e/g")), data());
    assert!(names(m.path("d")).is_empty());
}

fn renamed_and_written(t: &Test) {
    let l = t.layers();
    l.lower(0).file("f", "old");
    let m = mount(t, &l);
    rename(m.path("f"), m.path("g"));
    drop(m);
    let m = mount(t, &l);
    let file = open_write(m.path("g"));
    ok(rustix::io::pwrite(&file, b"N", 0));
    assert!(!is_metacopy(&l, "g"));
    drop(file);
    drop(m);
    assert_eq!(read(mount(t, &l).path("g")), b"Nld");
}

fn hard_link(t: &Test) {
    let l = t.layers();
    l.lower(0).file("d/f", data()).dir("e");
    let m = mount(t, &l);
    link(m.path("d/f"), m.path("e/g"));
    assert_eq!(ok(getxattr(l.upper().path("e/g"), REDIRECT)), b"/d/f");
    assert_eq!(read(m.path("e/g")), data());
    drop(m);
    let m = mount(t, &l);
    for name in ["d/f", "e/g"] {
        assert_eq!(read(m.path(name)), data());
        assert_eq!(stat(m.path(name)).st_nlink, 2);
    }
    let file = open_write(m.path("e/g"));
    ok(rustix::io::pwrite(&file, b"new", 0));
    assert_eq!(read(m.path("d/f"))[..3], *b"new");
    unlink(m.path("d/f"));
    assert_eq!(read(m.path("e/g"))[..3], *b"new");
}

fn lower_hard_link_renamed(t: &Test) {
    let l = t.layers();
    l.lower(0).file("d/f", data());
    link(l.lower(0).path("d/f"), l.lower(0).path("d/other"));
    let m = mount(t, &l);
    rename(m.path("d/f"), m.path("d/g"));
    assert_eq!(ok(getxattr(l.upper().path("d/g"), REDIRECT)), b"/d/f");
    drop(m);
    let m = mount(t, &l);
    assert_eq!(read(m.path("d/g")), data());
    assert_eq!(read(m.path("d/other")), data());
}

fn exchanged(t: &Test) {
    let l = t.layers();
    l.lower(0).file("a", "1").file("d/b", "22");
    let m = mount(t, &l);
    ok(renameat_with(
        CWD,
        m.path("a"),
        CWD,
        m.path("d/b"),
        RenameFlags::EXCHANGE,
    ));
    drop(m);
    let m = mount(t, &l);
    assert_eq!(read(m.path("a")), b"22");
    assert_eq!(read(m.path("d/b")), b"1");
    assert!(is_metacopy(&l, "a") && is_metacopy(&l, "d/b"));
}

fn replaced_and_removed(t: &Test) {
    let l = t.layers();
    l.lower(0).file("a", "1").file("b", "22").file("c", "333");
    let m = mount(t, &l);
    chmod(m.path("a"), 0o600);
    chmod(m.path("b"), 0o600);
    chmod(m.path("c"), 0o600);
    rename(m.path("a"), m.path("b"));
    unlink(m.path("c"));
    drop(m);
    let m = mount(t, &l);
    assert_eq!(names(m.root()), set(&["b"]));
    assert_eq!(read(m.path("b")), b"1");
}

fn in_a_renamed_directory(t: &Test) {
    let l = t.layers();
    l.lower(0).file("d/s/f", data()).dir("e");
    let m = mount(t, &l);
    rename(m.path("d"), m.path("e/d2"));
    chmod(m.path("e/d2/s/f"), 0o600);
    rename(m.path("e/d2/s/f"), m.path("g"));
    assert_eq!(ok(getxattr(l.upper().path("g"), REDIRECT)), b"/d/s/f");
    drop(m);
    assert_eq!(read(mount(t, &l).path("g")), data());
}

fn over_a_lower_metacopy(t: &Test) {
    let l = t.layers();
    l.lower(0)
        .file("f", "")
        .mode("f", 0o606)
        .xattr("f", METACOPY, "")
        .xattr("f", "user.middle", "m");
    ok(truncate(&l.lower(0).path("f"), 100_000));
    l.lower(1).file("f", data()).xattr("f", "user.bottom", "b");
    let m = mount(t, &l);
    assert_eq!(read(m.path("f")), data());
    assert_eq!(stat(m.path("f")).st_mode & 0o777, 0o606);
    assert_eq!(
        stat(m.path("f")).st_blocks,
        stat(l.lower(1).path("f")).st_blocks
    );
    chmod(m.path("f"), 0o660);
    assert!(is_metacopy(&l, "f"));
    assert_eq!(ok(getxattr(m.path("f"), "user.middle")), b"m");
    assert_eq!(errno(getxattr(m.path("f"), "user.bottom")), Errno::NODATA);
    assert_eq!(read(m.path("f")), data());
    drop(open_write(m.path("f")));
    assert_eq!(read(l.upper().path("f")), data());
}

fn three_of_them(t: &Test) {
    let l = t.layers();
    for n in 0..3 {
        l.lower(n).file("f", "").xattr("f", METACOPY, "");
        ok(truncate(&l.lower(n).path("f"), 4));
    }
    l.lower(1).xattr("f", REDIRECT, "g");
    l.lower(2).file("g", "").xattr("g", METACOPY, "");
    l.lower(2).xattr("g", REDIRECT, "h");
    l.lower(3)
        .file("f", "nnnn")
        .file("g", "mmmm")
        .file("h", "data");
    let m = mount(t, &l);
    assert_eq!(read(m.path("f")), b"data");
}

fn absolute_redirect_leads_to_all_layers(t: &Test) {
    let l = t.layers();
    // Below the opaque directory there is nothing of the same name.
    l.lower(0).opaque("d").file("d/f", "");
    l.lower(0)
        .xattr("d/f", METACOPY, "")
        .xattr("d/f", REDIRECT, "/data/x");
    ok(truncate(&l.lower(0).path("d/f"), 4));
    l.lower(1).file("d/f", "nnnn");
    l.lower(2).file("data/x", "data");
    let m = mount(t, &l);
    assert_eq!(read(m.path("d/f")), b"data");
}
