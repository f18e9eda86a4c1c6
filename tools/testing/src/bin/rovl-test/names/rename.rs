// SPDX-License-Identifier: GPL-2.0
//! `rename(2)` with all its flags.

use std::path::Path;

use rovl_testing::ops::{
    exists, is_whiteout, mkdir, names, open_read, read, read_fd, rename, set, stat, unlink, write,
};
use rovl_testing::overlay_xattr::assert_origin;
use rovl_testing::{cases, errno, ok, Test};
use rustix::fs::{renameat_with, RenameFlags, CWD};
use rustix::io::Errno;

cases! {
    lower_file_leaves_a_whiteout,
    upper_file_leaves_nothing,
    lower_file_to_another_directory,
    file_over_a_lower_file,
    file_over_an_upper_file,
    file_over_a_whiteout,
    all_types_of_lower_files,
    onto_itself,
    hard_links_of_one_file,
    lower_directory_is_refused,
    merged_directory_is_refused,
    new_directory,
    new_directory_with_content,
    new_directory_over_a_whiteout,
    new_directory_over_an_empty_merged_one,
    new_directory_over_one_with_whiteouts,
    directory_over_a_non_empty_one,
    opaque_directory_moves,
    wrong_kinds,
    into_its_own_subdirectory,
    no_replace,
    exchange_of_files,
    exchange_of_file_and_directory,
    exchange_of_new_directories,
    exchange_with_lower_directory_is_refused,
    exchange_with_nothing,
    whiteout_flag_is_refused,
    between_overlay_and_layer,
    open_file_follows,
    changes_times_of_parents,
    rename_back_and_forth,
}

fn with(from: impl AsRef<Path>, to: impl AsRef<Path>, flags: RenameFlags) -> Result<(), Errno> {
    renameat_with(CWD, from.as_ref(), CWD, to.as_ref(), flags)
}

fn refused(from: impl AsRef<Path>, to: impl AsRef<Path>) -> Errno {
    errno(rustix::fs::rename(from.as_ref(), to.as_ref()))
}

fn lower_file_leaves_a_whiteout(t: &Test) {
    let l = t.layers();
    l.lower(0).file("a", "data").owner("a", 3, 4);
    let m = l.mount();
    rename(m.path("a"), m.path("b"));
    assert_eq!(names(m.root()), set(&["b"]));
    assert_eq!(read(m.path("b")), b"data");
    l.assert_upper(&["a whiteout", "b file 644 3:4 \"data\" origin"]);
    assert_origin(&l.upper().path("b"), &l.lower(0).path("a"));
}

fn upper_file_leaves_nothing(t: &Test) {
    let l = t.layers();
    l.upper().file("a", "data");
    let m = l.mount();
    rename(m.path("a"), m.path("b"));
    l.assert_upper(&["b file 644 \"data\""]);
}

fn lower_file_to_another_directory(t: &Test) {
    let l = t.layers();
    l.lower(0)
        .file("from/f", "data")
        .dir("to")
        .file("from/stays", "");
    let m = l.mount();
    rename(m.path("from/f"), m.path("to/g"));
    assert_eq!(names(m.path("from")), set(&["stays"]));
    assert_eq!(read(m.path("to/g")), b"data");
    l.assert_upper(&[
        "from dir 755 impure=y origin",
        "from/f whiteout",
        "to dir 755 impure=y origin",
        "to/g file 644 \"data\" origin",
    ]);
}

fn file_over_a_lower_file(t: &Test) {
    let l = t.layers();
    l.lower(0).file("a", "from").file("b", "to");
    l.upper().file("c", "upper");
    l.lower(0).file("d", "to");
    let m = l.mount();
    rename(m.path("a"), m.path("b"));
    rename(m.path("c"), m.path("d"));
    assert_eq!(read(m.path("b")), b"from");
    assert_eq!(read(m.path("d")), b"upper");
    l.assert_upper(&[
        "a whiteout",
        "b file 644 \"from\" origin",
        "d file 644 \"upper\"",
    ]);
}

fn file_over_an_upper_file(t: &Test) {
    let l = t.layers();
    l.lower(0).file("a", "from");
    l.upper().file("b", "to");
    let m = l.mount();
    let replaced = open_read(m.path("b"));
    rename(m.path("a"), m.path("b"));
    assert_eq!(read_fd(&replaced), b"to");
    l.assert_upper(&["a whiteout", "b file 644 \"from\" origin"]);
}

fn file_over_a_whiteout(t: &Test) {
    let l = t.layers();
    l.lower(0)
        .file("a", "from")
        .file("b", "to")
        .file("c", "lower");
    let m = l.mount();
    unlink(m.path("b"));
    rename(m.path("a"), m.path("b"));
    write(m.path("u"), "upper");
    unlink(m.path("c"));
    rename(m.path("u"), m.path("c"));
    assert_eq!(names(m.root()), set(&["b", "c"]));
    l.assert_upper(&[
        "a whiteout",
        "b file 644 \"from\" origin",
        "c file 644 \"upper\"",
    ]);
}

fn all_types_of_lower_files(t: &Test) {
    use rustix::fs::FileType;
    let l = t.layers();
    l.lower(0)
        .symlink("link", "target")
        .node("fifo", FileType::Fifo, 0);
    l.lower(0)
        .node("null", FileType::CharacterDevice, rustix::fs::makedev(1, 3));
    let m = l.mount();
    for name in ["link", "fifo", "null"] {
        rename(m.path(name), m.path(format!("new-{name}")));
    }
    l.assert_upper(&[
        "fifo whiteout",
        "link whiteout",
        "new-fifo fifo 644 origin",
        "new-link symlink 777 -> target origin",
        "new-null char 644 1:3 origin",
        "null whiteout",
    ]);
}

fn onto_itself(t: &Test) {
    let l = t.layers();
    l.lower(0).file("f", "data");
    let m = l.mount();
    rename(m.path("f"), m.path("f"));
    assert_eq!(read(m.path("f")), b"data");
    assert_eq!(refused(m.path("missing"), m.path("f")), Errno::NOENT);
}

fn hard_links_of_one_file(t: &Test) {
    let l = t.layers();
    let m = l.mount();
    write(m.path("a"), "data");
    rovl_testing::ops::link(m.path("a"), m.path("b"));
    rename(m.path("a"), m.path("b"));
    assert_eq!(
        names(m.root()),
        set(&["a", "b"]),
        "names of one file are left alone"
    );
}

fn lower_directory_is_refused(t: &Test) {
    let l = t.layers();
    l.lower(0).file("d/f", "").dir("to").dir("empty");
    let m = l.mount();
    assert_eq!(refused(m.path("d"), m.path("e")), Errno::XDEV);
    assert_eq!(refused(m.path("d"), m.path("to/d")), Errno::XDEV);
    assert_eq!(refused(m.path("d"), m.path("empty")), Errno::XDEV);
    assert!(exists(m.path("d/f")) && !exists(m.path("e")));
}

fn merged_directory_is_refused(t: &Test) {
    let l = t.layers();
    l.upper().file("d/u", "");
    l.lower(0).file("d/l", "");
    let m = l.mount();
    assert_eq!(refused(m.path("d"), m.path("e")), Errno::XDEV);
    assert_eq!(names(m.path("d")), set(&["l", "u"]));
}

fn new_directory(t: &Test) {
    let l = t.layers();
    l.lower(0).dir("to");
    let m = l.mount();
    mkdir(m.path("d"));
    rename(m.path("d"), m.path("e"));
    rename(m.path("e"), m.path("to/f"));
    l.assert_upper(&["to dir 755 origin", "to/f dir 755 opaque=y"]);
}

fn new_directory_with_content(t: &Test) {
    let l = t.layers();
    l.lower(0).file("source", "data");
    let m = l.mount();
    mkdir(m.path("d"));
    rename(m.path("source"), m.path("d/moved"));
    rename(m.path("d"), m.path("e"));
    assert_eq!(read(m.path("e/moved")), b"data");
    l.assert_upper(&[
        "e dir 755 impure=y opaque=y",
        "e/moved file 644 \"data\" origin",
        "source whiteout",
    ]);
}

fn new_directory_over_a_whiteout(t: &Test) {
    let l = t.layers();
    l.lower(0).file("old/hidden", "");
    let m = l.mount();
    ok(std::fs::remove_dir_all(m.path("old")));
    mkdir(m.path("new"));
    write(m.path("new/f"), "");
    rename(m.path("new"), m.path("old"));
    assert_eq!(names(m.path("old")), set(&["f"]));
    l.assert_upper(&["old dir 755 opaque=y", "old/f file 644 \"\""]);
}

fn new_directory_over_an_empty_merged_one(t: &Test) {
    let l = t.layers();
    l.lower(0).dir("lower");
    l.lower(1).dir("merged");
    l.upper().dir("merged");
    let m = l.mount();
    for name in ["lower", "merged"] {
        mkdir(m.path("new"));
        write(m.path("new/f"), "");
        rename(m.path("new"), m.path(name));
        assert_eq!(names(m.path(name)), set(&["f"]));
    }
    l.assert_upper(&[
        "lower dir 755 opaque=y",
        "lower/f file 644 \"\"",
        "merged dir 755 opaque=y",
        "merged/f file 644 \"\"",
    ]);
}

fn new_directory_over_one_with_whiteouts(t: &Test) {
    let l = t.layers();
    l.lower(0).file("d/a", "").file("d/b", "");
    let m = l.mount();
    unlink(m.path("d/a"));
    unlink(m.path("d/b"));
    mkdir(m.path("new"));
    rename(m.path("new"), m.path("d"));
    assert!(names(m.path("d")).is_empty());
    l.assert_upper(&["d dir 755 opaque=y"]);
}

fn directory_over_a_non_empty_one(t: &Test) {
    let l = t.layers();
    l.lower(0).file("d/f", "");
    let m = l.mount();
    mkdir(m.path("new"));
    assert_eq!(refused(m.path("new"), m.path("d")), Errno::NOTEMPTY);
    assert!(exists(m.path("d/f")) && exists(m.path("new")));
}

fn opaque_directory_moves(t: &Test) {
    let l = t.layers();
    l.upper().opaque("d").file("d/u", "");
    l.lower(0).file("d/l", "").file("e/hidden", "");
    let m = l.mount();
    rename(m.path("d"), m.path("f"));
    l.assert_upper(&["d whiteout", "f dir 755 opaque=y", "f/u file 644 \"\""]);
    assert_eq!(names(m.root()), set(&["e", "f"]));
}

fn wrong_kinds(t: &Test) {
    let l = t.layers();
    l.lower(0).file("f", "").dir("d");
    let m = l.mount();
    mkdir(m.path("new"));
    assert_eq!(refused(m.path("f"), m.path("d")), Errno::ISDIR);
    assert_eq!(refused(m.path("new"), m.path("f")), Errno::NOTDIR);
    assert_eq!(refused(m.path("f"), m.path("missing/x")), Errno::NOENT);
}

fn into_its_own_subdirectory(t: &Test) {
    let l = t.layers();
    let m = l.mount();
    mkdir(m.path("d"));
    mkdir(m.path("d/e"));
    assert_eq!(refused(m.path("d"), m.path("d/e/f")), Errno::INVAL);
    assert_eq!(refused(m.path("d/e"), m.path("d")), Errno::NOTEMPTY);
}

fn no_replace(t: &Test) {
    let l = t.layers();
    l.lower(0).file("a", "a").file("b", "b").file("gone", "");
    let m = l.mount();
    unlink(m.path("gone"));
    let flags = RenameFlags::NOREPLACE;
    assert_eq!(errno(with(m.path("a"), m.path("b"), flags)), Errno::EXIST);
    ok(with(m.path("a"), m.path("gone"), flags));
    assert_eq!(read(m.path("gone")), b"a");
    l.assert_upper(&["a whiteout", "gone file 644 \"a\" origin"]);
}

fn exchange_of_files(t: &Test) {
    let l = t.layers();
    l.lower(0).file("a", "a").file("d/b", "b");
    l.upper().file("u", "u");
    let m = l.mount();
    ok(with(m.path("a"), m.path("d/b"), RenameFlags::EXCHANGE));
    assert_eq!(read(m.path("a")), b"b");
    assert_eq!(read(m.path("d/b")), b"a");
    ok(with(m.path("a"), m.path("u"), RenameFlags::EXCHANGE));
    l.assert_upper(&[
        "a file 644 \"u\"",
        "d dir 755 impure=y origin",
        "d/b file 644 \"a\" origin",
        "u file 644 \"b\" origin",
    ]);
    assert_origin(&l.upper().path("u"), &l.lower(0).path("d/b"));
}

fn exchange_of_file_and_directory(t: &Test) {
    let l = t.layers();
    l.lower(0).file("f", "data");
    let m = l.mount();
    mkdir(m.path("d"));
    write(m.path("d/inner"), "");
    ok(with(m.path("f"), m.path("d"), RenameFlags::EXCHANGE));
    assert_eq!(names(m.path("f")), set(&["inner"]));
    assert_eq!(read(m.path("d")), b"data");
    l.assert_upper(&[
        "d file 644 \"data\" origin",
        "f dir 755 opaque=y",
        "f/inner file 644 \"\"",
    ]);
}

fn exchange_of_new_directories(t: &Test) {
    let l = t.layers();
    let m = l.mount();
    mkdir(m.path("a"));
    mkdir(m.path("b"));
    write(m.path("a/from-a"), "");
    ok(with(m.path("a"), m.path("b"), RenameFlags::EXCHANGE));
    assert!(exists(m.path("b/from-a")) && names(m.path("a")).is_empty());
}

fn exchange_with_lower_directory_is_refused(t: &Test) {
    let l = t.layers();
    l.lower(0).dir("d").file("f", "");
    let m = l.mount();
    mkdir(m.path("new"));
    for other in ["f", "new"] {
        let result = with(m.path("d"), m.path(other), RenameFlags::EXCHANGE);
        assert_eq!(errno(result), Errno::XDEV, "{other}");
        let result = with(m.path(other), m.path("d"), RenameFlags::EXCHANGE);
        assert_eq!(errno(result), Errno::XDEV, "{other}");
    }
}

fn exchange_with_nothing(t: &Test) {
    let l = t.layers();
    l.lower(0).file("f", "").file("gone", "");
    let m = l.mount();
    unlink(m.path("gone"));
    for missing in ["missing", "gone"] {
        let result = with(m.path("f"), m.path(missing), RenameFlags::EXCHANGE);
        assert_eq!(errno(result), Errno::NOENT);
    }
    let both = RenameFlags::EXCHANGE | RenameFlags::NOREPLACE;
    assert_eq!(errno(with(m.path("f"), m.path("x"), both)), Errno::INVAL);
}

fn whiteout_flag_is_refused(t: &Test) {
    let l = t.layers();
    l.lower(0).file("f", "data");
    let m = l.mount();
    let result = with(m.path("f"), m.path("g"), RenameFlags::WHITEOUT);
    assert_eq!(errno(result), Errno::INVAL);
    assert!(exists(m.path("f")) && !exists(m.path("g")));
    assert!(!is_whiteout(l.upper().path("f")));
}

fn between_overlay_and_layer(t: &Test) {
    let l = t.layers();
    l.upper().file("f", "");
    let m = l.mount();
    assert_eq!(refused(m.path("f"), l.root().join("f")), Errno::XDEV);
    assert_eq!(
        errno(rustix::fs::link(m.path("f"), l.root().join("f"))),
        Errno::XDEV
    );
}

fn open_file_follows(t: &Test) {
    let l = t.layers();
    l.lower(0).file("f", "before");
    let m = l.mount();
    let reader = open_read(m.path("f"));
    let number = stat(m.path("f")).st_ino;
    rename(m.path("f"), m.path("g"));
    write(m.path("g"), "after");
    assert_eq!(read_fd(&reader), b"after");
    assert_eq!(stat(m.path("g")).st_ino, number);
    write(m.path("f"), "another file");
    assert_eq!(read_fd(&reader), b"after");
}

fn changes_times_of_parents(t: &Test) {
    let l = t.layers();
    l.lower(0)
        .file("from/f", "")
        .dir("to")
        .times("from", 1, 1)
        .times("to", 1, 1);
    let m = l.mount();
    rename(m.path("from/f"), m.path("to/f"));
    for dir in ["from", "to"] {
        assert!(stat(m.path(dir)).st_mtime > 1_000_000, "{dir}");
        assert_eq!(
            stat(m.path(dir)).st_mtime,
            stat(l.upper().path(dir)).st_mtime
        );
    }
}

fn rename_back_and_forth(t: &Test) {
    let l = t.layers();
    l.lower(0).file("a", "data");
    let m = l.mount();
    let number = stat(m.path("a")).st_ino;
    for _ in 0..5 {
        rename(m.path("a"), m.path("b"));
        assert_eq!(names(m.root()), set(&["b"]));
        rename(m.path("b"), m.path("a"));
        assert_eq!(names(m.root()), set(&["a"]));
    }
    assert_eq!(stat(m.path("a")).st_ino, number);
    l.assert_upper(&["a file 644 \"data\" origin"]);
}
