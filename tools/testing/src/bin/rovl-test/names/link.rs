// SPDX-License-Identifier: GPL-2.0
//! Hard links.

use rovl_testing::ops::{
    chmod, is_whiteout, link, open, open_write, read, rename, stat, unlink, write, write_at,
};
use rovl_testing::{cases, errno, ok, Test};
use rustix::fs::{linkat, AtFlags, FileType, OFlags, CWD};
use rustix::io::Errno;

cases! {
    of_an_upper_file,
    of_a_lower_file,
    of_a_copied_up_file,
    into_a_lower_directory,
    over_a_whiteout,
    over_an_existing_name,
    of_a_directory,
    of_a_symbolic_link,
    of_special_files,
    through_a_descriptor,
    shares_content_and_attributes,
    unlink_of_one_name,
    count_after_remount,
    lower_links_are_one_inode,
    lower_links_after_copy_up_of_one,
    of_a_deleted_file,
}

fn of_an_upper_file(t: &Test) {
    let l = t.layers();
    l.upper().file("a", "data");
    let m = l.mount();
    link(m.path("a"), m.path("b"));
    assert_eq!(stat(m.path("a")).st_nlink, 2);
    assert_eq!(stat(m.path("a")).st_ino, stat(m.path("b")).st_ino);
    l.assert_upper(&["a file 644 \"data\" nlink=2", "b file 644 \"data\" nlink=2"]);
}

fn of_a_lower_file(t: &Test) {
    let l = t.layers();
    l.lower(0).file("a", "data").owner("a", 3, 4);
    let m = l.mount();
    let number = stat(m.path("a")).st_ino;
    link(m.path("a"), m.path("b"));
    assert_eq!(stat(m.path("a")).st_ino, stat(m.path("b")).st_ino);
    assert_eq!(stat(m.path("a")).st_ino, number);
    l.assert_upper(&[
        "a file 644 3:4 \"data\" nlink=2 origin",
        "b file 644 3:4 \"data\" nlink=2 origin",
    ]);
}

fn of_a_copied_up_file(t: &Test) {
    let l = t.layers();
    l.lower(0).file("a", "data");
    let m = l.mount();
    chmod(m.path("a"), 0o600);
    link(m.path("a"), m.path("b"));
    unlink(m.path("a"));
    assert_eq!(read(m.path("b")), b"data");
    assert_eq!(stat(m.path("b")).st_nlink, 1);
    l.assert_upper(&["a whiteout", "b file 600 \"data\" origin"]);
}

fn into_a_lower_directory(t: &Test) {
    let l = t.layers();
    l.lower(0).file("a", "data").dir("d/e");
    let m = l.mount();
    link(m.path("a"), m.path("d/e/b"));
    l.assert_upper(&[
        "a file 644 \"data\" nlink=2 origin",
        "d dir 755 impure=y origin",
        "d/e dir 755 impure=y origin",
        "d/e/b file 644 \"data\" nlink=2 origin",
    ]);
}

fn over_a_whiteout(t: &Test) {
    let l = t.layers();
    l.lower(0).file("a", "data").file("gone", "");
    let m = l.mount();
    unlink(m.path("gone"));
    link(m.path("a"), m.path("gone"));
    assert_eq!(read(m.path("gone")), b"data");
    assert!(!is_whiteout(l.upper().path("gone")));
    unlink(m.path("gone"));
    assert!(is_whiteout(l.upper().path("gone")));
    assert_eq!(stat(m.path("a")).st_nlink, 1);
}

fn over_an_existing_name(t: &Test) {
    let l = t.layers();
    l.lower(0).file("a", "").file("b", "").dir("d");
    let m = l.mount();
    for name in ["a", "b", "d"] {
        assert_eq!(
            errno(rustix::fs::link(m.path("a"), m.path(name))),
            Errno::EXIST
        );
    }
    assert_eq!(
        errno(rustix::fs::link(m.path("missing"), m.path("x"))),
        Errno::NOENT
    );
    l.assert_upper(&[]);
}

fn of_a_directory(t: &Test) {
    let l = t.layers();
    l.lower(0).dir("d");
    let m = l.mount();
    assert_eq!(
        errno(rustix::fs::link(m.path("d"), m.path("e"))),
        Errno::PERM
    );
}

fn of_a_symbolic_link(t: &Test) {
    let l = t.layers();
    l.lower(0).symlink("s", "f").file("f", "data");
    let m = l.mount();
    ok(linkat(
        CWD,
        m.path("s"),
        CWD,
        m.path("link"),
        AtFlags::empty(),
    ));
    ok(linkat(
        CWD,
        m.path("s"),
        CWD,
        m.path("followed"),
        AtFlags::SYMLINK_FOLLOW,
    ));
    l.assert_upper(&[
        "f file 644 \"data\" nlink=2 origin",
        "followed file 644 \"data\" nlink=2 origin",
        "link symlink 777 -> f nlink=2 origin",
        "s symlink 777 -> f nlink=2 origin",
    ]);
}

fn of_special_files(t: &Test) {
    let l = t.layers();
    l.lower(0).node("p", FileType::Fifo, 0);
    let m = l.mount();
    link(m.path("p"), m.path("q"));
    l.assert_upper(&["p fifo 644 nlink=2 origin", "q fifo 644 nlink=2 origin"]);
}

fn through_a_descriptor(t: &Test) {
    let l = t.layers();
    l.lower(0).file("a", "data");
    let m = l.mount();
    let file = open(m.path("a"), OFlags::RDONLY);
    ok(linkat(&file, "", CWD, m.path("b"), AtFlags::EMPTY_PATH));
    write(m.path("b"), "changed");
    assert_eq!(read(m.path("a")), b"changed");
    assert_eq!(rovl_testing::ops::read_fd(&file), b"changed");
}

fn shares_content_and_attributes(t: &Test) {
    let l = t.layers();
    l.lower(0).file("a", "data").dir("d");
    let m = l.mount();
    link(m.path("a"), m.path("d/b"));
    let file = open_write(m.path("d/b"));
    write_at(&file, b"DATA", 0);
    chmod(m.path("a"), 0o640);
    assert_eq!(read(m.path("a")), b"DATA");
    let (a, b) = (stat(m.path("a")), stat(m.path("d/b")));
    assert_eq!(
        (a.st_mode, a.st_mtime, a.st_size),
        (b.st_mode, b.st_mtime, b.st_size)
    );
    rename(m.path("a"), m.path("c"));
    assert_eq!(stat(m.path("c")).st_ino, b.st_ino);
}

fn unlink_of_one_name(t: &Test) {
    let l = t.layers();
    let m = l.mount();
    write(m.path("a"), "data");
    link(m.path("a"), m.path("b"));
    link(m.path("a"), m.path("c"));
    unlink(m.path("b"));
    assert_eq!(stat(m.path("a")).st_nlink, 2);
    unlink(m.path("a"));
    assert_eq!(stat(m.path("c")).st_nlink, 1);
    assert_eq!(read(m.path("c")), b"data");
    l.assert_upper(&["c file 644 \"data\""]);
}

fn count_after_remount(t: &Test) {
    let l = t.layers();
    l.lower(0).file("a", "data");
    let m = l.mount();
    link(m.path("a"), m.path("b"));
    let number = stat(m.path("a")).st_ino;
    m.unmount();
    let m = l.mount();
    let (a, b) = (stat(m.path("a")), stat(m.path("b")));
    assert_eq!((a.st_nlink, b.st_nlink), (2, 2));
    assert_eq!(a.st_ino, b.st_ino);
    assert_eq!(a.st_ino, number);
}

fn lower_links_are_one_inode(t: &Test) {
    let l = t.layers();
    l.lower(0).file("a", "data").link("a", "d/b");
    let m = l.mount();
    let (a, b) = (stat(m.path("a")), stat(m.path("d/b")));
    assert_eq!(a.st_ino, b.st_ino);
    assert_eq!((a.st_nlink, b.st_nlink), (2, 2));
}

fn lower_links_after_copy_up_of_one(t: &Test) {
    let l = t.layers();
    l.lower(0).file("a", "data").link("a", "b");
    let m = l.mount();
    let before = stat(m.path("b")).st_ino;
    write(m.path("a"), "own");
    assert_eq!(read(m.path("b")), b"data");
    assert_eq!(stat(m.path("b")).st_ino, before);
    link(m.path("a"), m.path("c"));
    assert_eq!(stat(m.path("a")).st_nlink, 2);
    l.assert_upper(&["a file 644 \"own\" nlink=2", "c file 644 \"own\" nlink=2"]);
    unlink(m.path("b"));
    assert_eq!(read(m.path("c")), b"own");
}

fn of_a_deleted_file(t: &Test) {
    let l = t.layers();
    l.lower(0).file("a", "data");
    let m = l.mount();
    write(m.path("u"), "");
    for name in ["a", "u"] {
        let file = open(m.path(name), OFlags::RDONLY);
        unlink(m.path(name));
        let result = linkat(&file, "", CWD, m.path("back"), AtFlags::EMPTY_PATH);
        assert_eq!(errno(result), Errno::NOENT, "{name}");
    }
}
