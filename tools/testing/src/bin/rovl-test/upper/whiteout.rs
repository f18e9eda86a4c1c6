// SPDX-License-Identifier: GPL-2.0
//! Deletion of what lower layers have, and names that come back after it.

use rovl_testing::ops::{
    chmod, exists, is_whiteout, mkdir, mknod, mode, names, open_read, read, read_fd, rmdir, set,
    stat, unlink, write,
};
use rovl_testing::{cases, errno, ok, Test};
use rustix::fs::{FileType, OFlags};
use rustix::io::Errno;

cases! {
    unlink_of_a_lower_file,
    unlink_of_an_upper_file,
    unlink_of_a_file_in_both,
    unlink_of_a_copied_up_file,
    unlink_of_all_types,
    unlink_in_a_lower_directory,
    unlinked_file_stays_readable,
    rmdir_of_a_lower_directory,
    rmdir_of_an_upper_directory,
    rmdir_of_a_merged_directory,
    rmdir_cleans_the_whiteouts_inside,
    rmdir_with_lower_whiteouts_inside,
    rmdir_of_a_visible_name_fails,
    wrong_kind_of_removal,
    directory_over_a_whiteout_is_opaque,
    directory_in_a_new_directory_is_not_opaque,
    file_over_a_whiteout,
    other_types_over_a_whiteout,
    tree_removed_and_made_again,
    whiteouts_share_an_inode,
    whiteout_device_cannot_be_made,
    whiteouts_survive_a_remount,
    removed_directory_takes_no_names,
    no_whiteout_in_an_opaque_directory,
}

fn unlink_of_a_lower_file(t: &Test) {
    let l = t.layers();
    l.lower(0).file("f", "lower").file("g", "");
    let m = l.mount();
    unlink(m.path("f"));
    assert!(!exists(m.path("f")));
    assert_eq!(names(m.root()), set(&["g"]));
    l.assert_upper(&["f whiteout"]);
    assert_eq!(errno(rustix::fs::unlink(m.path("f"))), Errno::NOENT);
    assert_eq!(read(l.lower(0).path("f")), b"lower");
}

fn unlink_of_an_upper_file(t: &Test) {
    let l = t.layers();
    l.upper().file("old", "");
    let m = l.mount();
    write(m.path("new"), "");
    unlink(m.path("new"));
    unlink(m.path("old"));
    l.assert_upper(&[]);
    assert!(names(m.root()).is_empty());
}

fn unlink_of_a_file_in_both(t: &Test) {
    let l = t.layers();
    l.upper().file("f", "upper");
    l.lower(0).file("f", "lower");
    let m = l.mount();
    unlink(m.path("f"));
    assert!(!exists(m.path("f")));
    l.assert_upper(&["f whiteout"]);
}

fn unlink_of_a_copied_up_file(t: &Test) {
    let l = t.layers();
    l.lower(0).file("d/f", "lower");
    let m = l.mount();
    write(m.path("d/f"), "changed");
    unlink(m.path("d/f"));
    l.assert_upper(&["d dir 755 impure=y origin", "d/f whiteout"]);
}

fn unlink_of_all_types(t: &Test) {
    let l = t.layers();
    l.lower(0)
        .symlink("a-link", "x")
        .node("b-fifo", FileType::Fifo, 0);
    l.lower(0).node("c-socket", FileType::Socket, 0);
    l.lower(0).node(
        "d-null",
        FileType::CharacterDevice,
        rustix::fs::makedev(1, 3),
    );
    let m = l.mount();
    for name in ["a-link", "b-fifo", "c-socket", "d-null"] {
        unlink(m.path(name));
    }
    l.assert_upper(&[
        "a-link whiteout",
        "b-fifo whiteout",
        "c-socket whiteout",
        "d-null whiteout",
    ]);
}

fn unlink_in_a_lower_directory(t: &Test) {
    let l = t.layers();
    l.lower(0)
        .file("a/b/f", "")
        .file("a/b/g", "")
        .mode("a/b", 0o711);
    let m = l.mount();
    unlink(m.path("a/b/f"));
    l.assert_upper(&[
        "a dir 755 impure=y origin",
        "a/b dir 711 origin",
        "a/b/f whiteout",
    ]);
    assert_eq!(names(m.path("a/b")), set(&["g"]));
}

fn unlinked_file_stays_readable(t: &Test) {
    let l = t.layers();
    l.lower(0).file("lower", "l");
    l.upper().file("upper", "u");
    let m = l.mount();
    let lower = open_read(m.path("lower"));
    let upper = rovl_testing::ops::open_write(m.path("upper"));
    unlink(m.path("lower"));
    unlink(m.path("upper"));
    assert_eq!(read_fd(&lower), b"l");
    ok(rustix::io::pwrite(&upper, b"still", 0));
    assert_eq!(read_fd(&upper), b"still");
    assert_eq!(ok(rustix::fs::fstat(&upper)).st_nlink, 0);
}

fn rmdir_of_a_lower_directory(t: &Test) {
    let l = t.layers();
    l.lower(0).dir("d");
    let m = l.mount();
    rmdir(m.path("d"));
    assert!(!exists(m.path("d")));
    l.assert_upper(&["d whiteout"]);
}

fn rmdir_of_an_upper_directory(t: &Test) {
    let l = t.layers();
    let m = l.mount();
    mkdir(m.path("d"));
    write(m.path("d/f"), "");
    assert_eq!(errno(rustix::fs::rmdir(m.path("d"))), Errno::NOTEMPTY);
    unlink(m.path("d/f"));
    rmdir(m.path("d"));
    l.assert_upper(&[]);
}

fn rmdir_of_a_merged_directory(t: &Test) {
    let l = t.layers();
    l.upper().dir("d");
    l.lower(0).dir("d");
    l.lower(1).dir("d");
    let m = l.mount();
    rmdir(m.path("d"));
    l.assert_upper(&["d whiteout"]);
}

fn rmdir_cleans_the_whiteouts_inside(t: &Test) {
    let l = t.layers();
    l.lower(0).file("d/a", "").file("d/b", "").dir("d/c");
    let m = l.mount();
    unlink(m.path("d/a"));
    unlink(m.path("d/b"));
    assert_eq!(errno(rustix::fs::rmdir(m.path("d"))), Errno::NOTEMPTY);
    rmdir(m.path("d/c"));
    assert!(is_whiteout(l.upper().path("d/c")));
    rmdir(m.path("d"));
    assert!(!exists(m.path("d")));
    l.assert_upper(&["d whiteout"]);
}

fn rmdir_with_lower_whiteouts_inside(t: &Test) {
    let l = t.layers();
    l.lower(0).whiteout("d/f");
    l.lower(1).file("d/f", "");
    let m = l.mount();
    assert!(names(m.path("d")).is_empty());
    rmdir(m.path("d"));
    l.assert_upper(&["d whiteout"]);
}

fn rmdir_of_a_visible_name_fails(t: &Test) {
    let l = t.layers();
    l.upper().dir("d");
    l.lower(0).file("d/lower", "");
    let m = l.mount();
    assert_eq!(errno(rustix::fs::rmdir(m.path("d"))), Errno::NOTEMPTY);
    // The lookup of a merged directory notes its origin.
    l.assert_upper(&["d dir 755 origin"]);
}

fn wrong_kind_of_removal(t: &Test) {
    let l = t.layers();
    l.lower(0).file("f", "").dir("d");
    let m = l.mount();
    assert_eq!(errno(rustix::fs::rmdir(m.path("f"))), Errno::NOTDIR);
    assert_eq!(errno(rustix::fs::unlink(m.path("d"))), Errno::ISDIR);
    assert_eq!(errno(rustix::fs::rmdir(m.path("missing"))), Errno::NOENT);
    assert_eq!(errno(rustix::fs::rmdir(m.path("d/."))), Errno::INVAL);
    assert_eq!(errno(rustix::fs::rmdir(m.root())), Errno::BUSY);
    l.assert_upper(&[]);
}

fn directory_over_a_whiteout_is_opaque(t: &Test) {
    let l = t.layers();
    l.lower(0).file("d/old", "").file("f", "");
    l.upper().whiteout("w");
    l.lower(1).file("w/old", "");
    let m = l.mount();
    unlink(m.path("d/old"));
    rmdir(m.path("d"));
    unlink(m.path("f"));
    for name in ["d", "f", "w"] {
        mkdir(m.path(name));
        assert!(names(m.path(name)).is_empty(), "{name}");
    }
    l.assert_upper(&[
        "d dir 755 opaque=y",
        "f dir 755 opaque=y",
        "w dir 755 opaque=y",
    ]);
}

fn directory_in_a_new_directory_is_not_opaque(t: &Test) {
    let l = t.layers();
    l.lower(0).dir("lower");
    let m = l.mount();
    mkdir(m.path("new"));
    mkdir(m.path("new/inner"));
    mkdir(m.path("lower/inner"));
    l.assert_upper(&[
        "lower dir 755 origin",
        "lower/inner dir 755",
        "new dir 755",
        "new/inner dir 755",
    ]);
}

fn file_over_a_whiteout(t: &Test) {
    let l = t.layers();
    l.lower(0).file("f", "lower").dir("d");
    let m = l.mount();
    unlink(m.path("f"));
    rmdir(m.path("d"));
    write(m.path("f"), "new");
    write(m.path("d"), "now a file");
    assert_eq!(read(m.path("f")), b"new");
    l.assert_upper(&["d file 644 \"now a file\"", "f file 644 \"new\""]);
    unlink(m.path("f"));
    unlink(m.path("d"));
    l.assert_upper(&["d whiteout", "f whiteout"]);
}

fn other_types_over_a_whiteout(t: &Test) {
    let l = t.layers();
    for name in ["char", "fifo", "link", "symlink"] {
        l.lower(0).file(name, "lower");
    }
    l.upper().file("source", "source");
    let m = l.mount();
    for name in ["char", "fifo", "link", "symlink"] {
        unlink(m.path(name));
    }
    let null = rustix::fs::makedev(1, 3);
    ok(mknod(
        m.path("char"),
        FileType::CharacterDevice,
        0o600,
        null,
    ));
    ok(mknod(m.path("fifo"), FileType::Fifo, 0o600, 0));
    rovl_testing::ops::link(m.path("source"), m.path("link"));
    ok(rustix::fs::symlink("target", m.path("symlink")));
    l.assert_upper(&[
        "char char 600 1:3",
        "fifo fifo 600",
        "link file 644 \"source\" nlink=2",
        "source file 644 \"source\" nlink=2",
        "symlink symlink 777 -> target",
    ]);
}

fn tree_removed_and_made_again(t: &Test) {
    let l = t.layers();
    l.lower(0)
        .file("d/a", "1")
        .file("d/sub/b", "2")
        .symlink("d/l", "a");
    l.lower(1).file("d/c", "3").file("d/sub/e", "4");
    let m = l.mount();
    write(m.path("d/sub/upper"), "");
    ok(std::fs::remove_dir_all(m.path("d")));
    l.assert_upper(&["d whiteout"]);
    ok(std::fs::create_dir_all(m.path("d/sub")));
    write(m.path("d/sub/b"), "new");
    assert_eq!(names(m.path("d")), set(&["sub"]));
    assert_eq!(names(m.path("d/sub")), set(&["b"]));
    l.assert_upper(&[
        "d dir 755 opaque=y",
        "d/sub dir 755",
        "d/sub/b file 644 \"new\"",
    ]);
}

fn whiteouts_share_an_inode(t: &Test) {
    let l = t.layers();
    for name in ["a", "b", "c"] {
        l.lower(0).file(name, "");
    }
    let m = l.mount();
    for name in ["a", "b", "c"] {
        unlink(m.path(name));
    }
    let inode = |name: &str| stat(l.upper().path(name)).st_ino;
    assert_eq!(inode("a"), inode("b"));
    assert_eq!(inode("b"), inode("c"));
    assert!(stat(l.upper().path("a")).st_nlink >= 3);
}

fn whiteout_device_cannot_be_made(t: &Test) {
    let l = t.layers();
    l.lower(0).dir("d");
    let m = l.mount();
    for path in ["w", "d/w"] {
        let made = mknod(m.path(path), FileType::CharacterDevice, 0o600, 0);
        assert_eq!(errno(made), Errno::PERM);
    }
    ok(mknod(m.path("block"), FileType::BlockDevice, 0o600, 0));
    assert!(exists(m.path("block")));
    assert!(!exists(l.upper().path("w")));
}

fn whiteouts_survive_a_remount(t: &Test) {
    let l = t.layers();
    l.lower(0).file("f", "").file("d/x", "");
    let m = l.mount();
    unlink(m.path("f"));
    ok(std::fs::remove_dir_all(m.path("d")));
    mkdir(m.path("d"));
    m.unmount();
    let m = l.mount();
    assert_eq!(names(m.root()), set(&["d"]));
    assert!(names(m.path("d")).is_empty());
}

fn removed_directory_takes_no_names(t: &Test) {
    let l = t.layers();
    l.lower(0).dir("d");
    let m = l.mount();
    let dir = rovl_testing::dirent::open(m.path("d"));
    rmdir(m.path("d"));
    let flags = OFlags::CREATE | OFlags::WRONLY;
    assert_eq!(
        errno(rustix::fs::openat(&dir, "f", flags, mode(0o644))),
        Errno::NOENT
    );
    assert_eq!(
        errno(rustix::fs::mkdirat(&dir, "d", mode(0o755))),
        Errno::NOENT
    );
    l.assert_upper(&["d whiteout"]);
}

fn no_whiteout_in_an_opaque_directory(t: &Test) {
    let l = t.layers();
    l.upper().opaque("d").file("d/f", "");
    l.lower(0).file("d/f", "hidden");
    let m = l.mount();
    chmod(m.path("d/f"), 0o600);
    unlink(m.path("d/f"));
    l.assert_upper(&["d dir 755 opaque=y"]);
    rmdir(m.path("d"));
    l.assert_upper(&["d whiteout"]);
}
