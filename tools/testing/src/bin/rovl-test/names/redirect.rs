// SPDX-License-Identifier: GPL-2.0
//! `redirect_dir`: directories of lower layers that are renamed, and the attribute that this leaves.

use rovl_testing::mount::{granted, Mounted};
use rovl_testing::ops::{
    exists, getxattr, link, mkdir, names, open_read, read, rename, rmdir, set, stat, unlink, write,
};
use rovl_testing::overlay_xattr::{OPAQUE, REDIRECT};
use rovl_testing::parameter::Parameter;
use rovl_testing::{cases, errno, ok, Layers, Test};
use rustix::fs::{renameat_with, RenameFlags, CWD};
use rustix::io::Errno;

cases! {
    lower_directory_within_its_parent,
    merged_directory_within_its_parent,
    lower_directory_to_another_parent,
    renamed_twice,
    renamed_back,
    moved_and_then_renamed,
    child_of_a_renamed_directory_moves,
    changes_inside_a_renamed_directory,
    new_directory_at_the_old_place,
    over_an_empty_merged_directory,
    over_a_whiteout,
    exchange_of_lower_directories,
    exchange_of_lower_directory_and_file,
    into_a_merged_directory,
    removed_after_the_rename,
    number_is_kept,
    open_directory_follows,
    odd_names,
    longer_than_the_limit,
    just_within_the_limit,
    limit_that_changes,
    limit_of_files_without_data,
    followed_unless_told,
    made_only_when_told,
    refused_in_the_middle,
    lower_layers_only,
    fails_without_attributes,
}

/// Mounts with `redirect_dir` set to `mode`.
#[track_caller]
pub(crate) fn mount(t: &Test, l: &Layers<'_>, mode: &str) -> Mounted {
    granted(t, l.request().set("redirect_dir", mode).mount(&l.merged()))
}

fn redirect(l: &Layers<'_>, path: &str) -> String {
    let value = ok(getxattr(l.upper().path(path), REDIRECT));
    String::from_utf8_lossy(&value).into_owned()
}

fn lower_directory_within_its_parent(t: &Test) {
    let l = t.layers();
    l.lower(0).file("a/f", "data").file("a/sub/g", "deep");
    let before = l.lowers_snapshot();
    let m = mount(t, &l, "on");
    rename(m.path("a"), m.path("b"));
    let check = |m: &Mounted| {
        assert_eq!(names(m.root()), set(&["b"]));
        assert_eq!(names(m.path("b")), set(&["f", "sub"]));
        assert_eq!(read(m.path("b/sub/g")), b"deep");
    };
    check(&m);
    drop(m);
    check(&mount(t, &l, "on"));
    l.assert_upper(&["a whiteout", "b dir 755 origin redirect=a"]);
    assert_eq!(l.lowers_snapshot(), before);
}

fn merged_directory_within_its_parent(t: &Test) {
    let l = t.layers();
    l.lower(0).file("a/top", "");
    l.lower(1).file("a/bottom", "");
    l.upper().file("a/upper", "");
    let m = mount(t, &l, "on");
    rename(m.path("a"), m.path("b"));
    drop(m);
    let m = mount(t, &l, "on");
    assert_eq!(names(m.root()), set(&["b"]));
    assert_eq!(names(m.path("b")), set(&["bottom", "top", "upper"]));
    assert_eq!(redirect(&l, "b"), "a");
}

fn lower_directory_to_another_parent(t: &Test) {
    let l = t.layers();
    l.lower(0).file("from/a/f", "data").dir("to/deeper");
    let m = mount(t, &l, "on");
    rename(m.path("from/a"), m.path("to/deeper/b"));
    assert_eq!(read(m.path("to/deeper/b/f")), b"data");
    drop(m);
    let m = mount(t, &l, "on");
    assert_eq!(read(m.path("to/deeper/b/f")), b"data");
    assert!(names(m.path("from")).is_empty());
    l.assert_upper(&[
        "from dir 755 impure=y origin",
        "from/a whiteout",
        "to dir 755 impure=y origin",
        "to/deeper dir 755 impure=y origin",
        "to/deeper/b dir 755 origin redirect=/from/a",
    ]);
}

fn renamed_twice(t: &Test) {
    let l = t.layers();
    l.lower(0).file("a/f", "data").dir("d");
    let m = mount(t, &l, "on");
    rename(m.path("a"), m.path("b"));
    rename(m.path("b"), m.path("c"));
    assert_eq!(redirect(&l, "c"), "a");
    rename(m.path("c"), m.path("d/e"));
    assert_eq!(redirect(&l, "d/e"), "/a");
    rename(m.path("d/e"), m.path("d/g"));
    assert_eq!(redirect(&l, "d/g"), "/a");
    drop(m);
    let m = mount(t, &l, "on");
    assert_eq!(names(m.root()), set(&["d"]));
    assert_eq!(read(m.path("d/g/f")), b"data");
    assert!(!exists(l.upper().path("b")) && !exists(l.upper().path("c")));
}

fn renamed_back(t: &Test) {
    let l = t.layers();
    l.lower(0).file("a/f", "data");
    let m = mount(t, &l, "on");
    rename(m.path("a"), m.path("b"));
    rename(m.path("b"), m.path("a"));
    drop(m);
    let m = mount(t, &l, "on");
    assert_eq!(names(m.root()), set(&["a"]));
    assert_eq!(read(m.path("a/f")), b"data");
    l.assert_upper(&["a dir 755 origin redirect=a"]);
}

fn moved_and_then_renamed(t: &Test) {
    let l = t.layers();
    l.lower(0).file("p/a/f", "1").file("p/b/f", "2").dir("q");
    let m = mount(t, &l, "on");
    rename(m.path("p"), m.path("q/p2"));
    // The path from the root goes through the redirect of the parent.
    rename(m.path("q/p2/a"), m.path("q/a2"));
    rename(m.path("q/p2/b"), m.path("q/p2/b2"));
    assert_eq!(redirect(&l, "q/a2"), "/p/a");
    assert_eq!(redirect(&l, "q/p2/b2"), "b");
    drop(m);
    let m = mount(t, &l, "on");
    assert_eq!(read(m.path("q/a2/f")), b"1");
    assert_eq!(read(m.path("q/p2/b2/f")), b"2");
    assert_eq!(names(m.path("q/p2")), set(&["b2"]));
}

fn child_of_a_renamed_directory_moves(t: &Test) {
    let l = t.layers();
    l.lower(0).file("p/q/r/f", "data").dir("d");
    let m = mount(t, &l, "on");
    rename(m.path("p"), m.path("p1"));
    rename(m.path("p1/q"), m.path("p1/q1"));
    rename(m.path("p1/q1/r"), m.path("d/r1"));
    assert_eq!(redirect(&l, "d/r1"), "/p/q/r");
    drop(m);
    assert_eq!(read(mount(t, &l, "on").path("d/r1/f")), b"data");
}

fn changes_inside_a_renamed_directory(t: &Test) {
    let l = t.layers();
    l.lower(0)
        .file("a/f", "old")
        .file("a/gone", "")
        .file("a/moved", "m")
        .file("a/sub/g", "g");
    let m = mount(t, &l, "on");
    rename(m.path("a"), m.path("b"));
    write(m.path("b/f"), "new");
    unlink(m.path("b/gone"));
    rename(m.path("b/moved"), m.path("b/there"));
    write(m.path("b/added"), "x");
    link(m.path("b/sub/g"), m.path("b/link"));
    drop(m);
    let m = mount(t, &l, "on");
    assert_eq!(
        names(m.path("b")),
        set(&["added", "f", "link", "sub", "there"])
    );
    assert_eq!(read(m.path("b/f")), b"new");
    assert_eq!(read(m.path("b/there")), b"m");
    assert_eq!(read(l.lower(0).path("a/f")), b"old");
}

fn new_directory_at_the_old_place(t: &Test) {
    let l = t.layers();
    l.lower(0).file("a/f", "");
    let m = mount(t, &l, "on");
    rename(m.path("a"), m.path("b"));
    mkdir(m.path("a"));
    assert!(names(m.path("a")).is_empty());
    drop(m);
    let m = mount(t, &l, "on");
    assert!(names(m.path("a")).is_empty());
    assert_eq!(names(m.path("b")), set(&["f"]));
    assert_eq!(ok(getxattr(l.upper().path("a"), OPAQUE)), b"y");
}

fn over_an_empty_merged_directory(t: &Test) {
    let l = t.layers();
    l.lower(0).file("a/f", "").file("b/x", "").dir("c");
    let m = mount(t, &l, "on");
    assert_eq!(
        errno(rustix::fs::rename(m.path("a"), m.path("b"))),
        Errno::NOTEMPTY
    );
    unlink(m.path("b/x"));
    rename(m.path("a"), m.path("b"));
    drop(m);
    let m = mount(t, &l, "on");
    assert_eq!(names(m.root()), set(&["b", "c"]));
    assert_eq!(names(m.path("b")), set(&["f"]));
}

fn over_a_whiteout(t: &Test) {
    let l = t.layers();
    l.lower(0).file("a/f", "").file("b", "");
    let m = mount(t, &l, "on");
    unlink(m.path("b"));
    rename(m.path("a"), m.path("b"));
    drop(m);
    let m = mount(t, &l, "on");
    assert_eq!(names(m.root()), set(&["b"]));
    assert_eq!(names(m.path("b")), set(&["f"]));
    l.assert_upper(&["a whiteout", "b dir 755 origin redirect=a"]);
}

fn exchange_of_lower_directories(t: &Test) {
    let l = t.layers();
    l.lower(0).file("a/f", "1").file("d/b/f", "2");
    let m = mount(t, &l, "on");
    let exchange = renameat_with(CWD, m.path("a"), CWD, m.path("d/b"), RenameFlags::EXCHANGE);
    ok(exchange);
    drop(m);
    let m = mount(t, &l, "on");
    assert_eq!(read(m.path("a/f")), b"2");
    assert_eq!(read(m.path("d/b/f")), b"1");
    assert_eq!(redirect(&l, "a"), "/d/b");
    assert_eq!(redirect(&l, "d/b"), "/a");
}

fn exchange_of_lower_directory_and_file(t: &Test) {
    let l = t.layers();
    l.lower(0).file("a/f", "1").file("b", "2");
    let m = mount(t, &l, "on");
    ok(renameat_with(
        CWD,
        m.path("a"),
        CWD,
        m.path("b"),
        RenameFlags::EXCHANGE,
    ));
    drop(m);
    let m = mount(t, &l, "on");
    assert_eq!(read(m.path("a")), b"2");
    assert_eq!(read(m.path("b/f")), b"1");
    l.assert_upper(&["a file 644 \"2\" origin", "b dir 755 origin redirect=a"]);
}

fn into_a_merged_directory(t: &Test) {
    let l = t.layers();
    l.lower(0).file("a/f", "").file("to/b/hidden", "");
    let m = mount(t, &l, "on");
    ok(std::fs::remove_dir_all(m.path("to/b")));
    // It must not merge with what is below its new place.
    rename(m.path("a"), m.path("to/b"));
    drop(m);
    let m = mount(t, &l, "on");
    assert_eq!(names(m.path("to/b")), set(&["f"]));
}

fn removed_after_the_rename(t: &Test) {
    let l = t.layers();
    l.lower(0).file("a/f", "").file("b/g", "");
    let m = mount(t, &l, "on");
    rename(m.path("a"), m.path("c"));
    unlink(m.path("c/f"));
    rmdir(m.path("c"));
    drop(m);
    let m = mount(t, &l, "on");
    assert_eq!(names(m.root()), set(&["b"]));
    l.assert_upper(&["a whiteout"]);
}

fn number_is_kept(t: &Test) {
    let l = t.layers();
    l.lower(0).file("a/f", "").dir("d");
    let m = mount(t, &l, "on");
    let (dir, file) = (stat(m.path("a")).st_ino, stat(m.path("a/f")).st_ino);
    rename(m.path("a"), m.path("d/b"));
    assert_eq!(stat(m.path("d/b")).st_ino, dir);
    assert_eq!(stat(m.path("d/b/f")).st_ino, file);
    drop(m);
    let m = mount(t, &l, "on");
    assert_eq!(stat(m.path("d/b")).st_ino, dir);
    assert_eq!(stat(m.path("d/b/f")).st_ino, file);
}

fn open_directory_follows(t: &Test) {
    let l = t.layers();
    l.lower(0).file("a/f", "").dir("d");
    let m = mount(t, &l, "on");
    let dir = open_read(m.path("a"));
    rename(m.path("a"), m.path("d/b"));
    let made = rustix::fs::openat(
        &dir,
        "new",
        rustix::fs::OFlags::CREATE | rustix::fs::OFlags::WRONLY,
        0o644.into(),
    );
    drop(ok(made));
    assert_eq!(names(m.path("d/b")), set(&["f", "new"]));
    assert!(exists(l.upper().path("d/b/new")));
}

fn odd_names(t: &Test) {
    let l = t.layers();
    let values = [
        ".", "..", "/..", "/../x", "/.", "/a/../a", "/a/./b", "\0", "/\0x",
    ];
    l.lower(0).file("a/b/f", "");
    for (n, value) in values.iter().enumerate() {
        let name = format!("d{n}");
        l.upper().dir(&name).xattr(&name, REDIRECT, value);
    }
    let m = mount(t, &l, "follow");
    for (n, value) in values.iter().enumerate() {
        // What the NUL leaves of this one is a path with an empty name.
        let expected = if *value == "/\0x" {
            Errno::INVAL
        } else {
            Errno::ACCESS
        };
        let looked_up = rustix::fs::lstat(m.path(format!("d{n}")));
        assert_eq!(errno(looked_up), expected, "{value:?}");
    }
}

/// A path of `len` bytes with its leading slash, made of long names.
fn long_path(len: usize) -> String {
    let mut path = String::new();
    while path.len() < len {
        let rest = len - path.len() - 1;
        // The last name must not be empty.
        let name = if rest > 101 { 100 } else { rest };
        path.push('/');
        path.push_str(&"n".repeat(name));
    }
    path
}

fn move_away(t: &Test, len: usize) -> Result<(), Errno> {
    let l = t.layers();
    let path = long_path(len);
    l.lower(0).file(format!("{}/f", &path[1..]), "").dir("to");
    let m = mount(t, &l, "on");
    let moved = rustix::fs::rename(m.path(&path[1..]), m.path("to/x"));
    if moved.is_ok() {
        assert_eq!(redirect(&l, "to/x"), path);
        assert_eq!(names(m.path("to/x")), set(&["f"]));
    }
    moved
}

fn longer_than_the_limit(t: &Test) {
    assert_eq!(errno(move_away(t, 257)), Errno::XDEV);
}

fn just_within_the_limit(t: &Test) {
    ok(move_away(t, 256));
}

/// The limit is that of the moment, and only for redirects that are paths.
fn limit_that_changes(t: &Test) {
    let l = t.layers();
    let (within, longer) = (long_path(20), long_path(21));
    l.lower(0)
        .dir(&within[1..])
        .dir(&longer[1..])
        .dir("d/to")
        .dir("to");
    let m = mount(t, &l, "on");
    let limit = Parameter::with(t, "redirect_max", "20");
    let away = |path: &str| rustix::fs::rename(m.path(&path[1..]), m.path("d/to/x"));
    assert_eq!(errno(away(&longer)), Errno::XDEV);
    assert!(exists(m.path(&longer[1..])) && names(m.path("d/to")).is_empty());
    ok(away(&within));
    assert_eq!(redirect(&l, "d/to/x"), within);
    // A name is no path.
    let renamed = "r".repeat(30);
    rename(m.path(&longer[1..]), m.path(&renamed));
    assert_eq!(redirect(&l, &renamed), &longer[1..]);
    drop(limit);
    let _limit = Parameter::with(t, "redirect_max", "4");
    // That of a directory with a redirect of its own counts with what it was.
    rename(m.path("d/to"), m.path("d/o"));
    let moved = || rustix::fs::rename(m.path("d/o"), m.path("to/o"));
    assert_eq!(errno(moved()), Errno::XDEV);
    let _limit = Parameter::with(t, "redirect_max", "5");
    ok(moved());
    assert_eq!(redirect(&l, "to/o"), "/d/to");
}

fn limit_of_files_without_data(t: &Test) {
    let l = t.layers();
    l.lower(0).file("dir/file", "data").dir("to");
    let request = l.request().set("metacopy", "on");
    let m = granted(t, request.mount(&l.merged()));
    let _limit = Parameter::with(t, "redirect_max", "8");
    let moved = || rustix::fs::rename(m.path("dir/file"), m.path("to/file"));
    let linked = || rustix::fs::link(m.path("dir/file"), m.path("to/link"));
    assert_eq!(errno(moved()), Errno::XDEV);
    assert_eq!(errno(linked()), Errno::XDEV);
    assert!(names(m.path("to")).is_empty());
    assert_eq!(read(m.path("dir/file")), b"data");
    let _limit = Parameter::with(t, "redirect_max", "9");
    ok(linked());
    ok(moved());
    assert_eq!(redirect(&l, "to/file"), "/dir/file");
    assert_eq!(read(m.path("to/link")), b"data");
}

fn followed_unless_told(t: &Test) {
    let l = t.layers();
    l.upper().dir("d").xattr("d", REDIRECT, "other");
    l.lower(0).file("other/below", "");
    for mode in ["follow", "off", "on"] {
        let m = mount(t, &l, mode);
        assert_eq!(names(m.path("d")), set(&["below"]), "{mode}");
    }
    let m = mount(t, &l, "nofollow");
    assert_eq!(errno(rustix::fs::lstat(m.path("d"))), Errno::PERM);
}

fn made_only_when_told(t: &Test) {
    let l = t.layers();
    l.lower(0).file("a/f", "");
    for mode in ["follow", "off", "nofollow"] {
        let m = mount(t, &l, mode);
        let moved = rustix::fs::rename(m.path("a"), m.path("b"));
        assert_eq!(errno(moved), Errno::XDEV, "{mode}");
    }
    l.assert_upper(&[]);
}

fn refused_in_the_middle(t: &Test) {
    let l = t.layers();
    l.lower(0).dir("a").xattr("a", REDIRECT, "b");
    l.lower(1).file("b/f", "").file("a/g", "");
    l.upper().dir("c");
    let m = mount(t, &l, "nofollow");
    assert_eq!(errno(rustix::fs::lstat(m.path("a"))), Errno::PERM);
    assert!(exists(m.path("c")));
}

fn lower_layers_only(t: &Test) {
    let l = t.layers();
    l.lower(0).dir("a").xattr("a", REDIRECT, "b").whiteout("b");
    l.lower(1).file("b/f", "").file("a/hidden", "");
    let m = l.mount_lowers();
    assert_eq!(names(m.path("a")), set(&["f"]));
    assert_eq!(names(m.root()), set(&["a"]));
}

fn fails_without_attributes(t: &Test) {
    let l = t.layers();
    l.lower(0).file("a/f", "");
    // With attributes in the namespace `user` redirects cannot be made at all.
    let refused = l.refused(l.request().flag("userxattr").set("redirect_dir", "on"));
    assert_eq!(refused.errno, Errno::INVAL);
    let m = granted(t, l.request().flag("userxattr").mount(&l.merged()));
    let moved = rustix::fs::rename(m.path("a"), m.path("b"));
    assert_eq!(errno(moved), Errno::XDEV);
}
