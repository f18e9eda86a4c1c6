// SPDX-License-Identifier: GPL-2.0
//! Files without a name: `O_TMPFILE`.

use std::os::fd::{AsRawFd, OwnedFd};
use std::path::Path;

use rovl_testing::caller::{as_user, with_umask, ALICE};
use rovl_testing::ops::{
    is_whiteout, mode, names, perm, read, read_fd, setxattr, stat, unlink, write_at,
};
use rovl_testing::{cases, errno, ok, Test};
use rustix::fs::{linkat, AtFlags, OFlags, CWD};
use rustix::io::Errno;

cases! {
    written_and_read,
    linked_into_the_tree,
    linked_over_a_whiteout,
    in_a_lower_directory,
    exclusive_cannot_be_linked,
    owner_and_mode,
    vanishes_when_closed,
    xattrs_before_the_link,
    in_a_read_only_mount,
    number_of_links,
    mapped_and_linked,
}

fn tmpfile(dir: &Path, flags: OFlags) -> Result<OwnedFd, Errno> {
    rustix::fs::open(
        dir,
        OFlags::TMPFILE | OFlags::RDWR | OFlags::CLOEXEC | flags,
        mode(0o644),
    )
}

fn give_name(file: &OwnedFd, path: &Path) -> Result<(), Errno> {
    let through = format!("/proc/self/fd/{}", file.as_raw_fd());
    linkat(CWD, through, CWD, path, AtFlags::SYMLINK_FOLLOW)
}

fn written_and_read(t: &Test) {
    let l = t.layers();
    let m = l.mount();
    let file = ok(tmpfile(m.root(), OFlags::empty()));
    write_at(&file, b"without a name", 0);
    assert_eq!(read_fd(&file), b"without a name");
    ok(rustix::fs::ftruncate(&file, 7));
    assert_eq!(ok(rustix::fs::fstat(&file)).st_size, 7);
    ok(rustix::fs::fsync(&file));
    assert!(names(m.root()).is_empty());
    l.assert_upper(&[]);
}

fn linked_into_the_tree(t: &Test) {
    let l = t.layers();
    l.lower(0).dir("d").file("taken", "");
    let m = l.mount();
    let file = ok(tmpfile(m.root(), OFlags::empty()));
    write_at(&file, b"data", 0);
    assert_eq!(errno(give_name(&file, &m.path("taken"))), Errno::EXIST);
    ok(give_name(&file, &m.path("d/f")));
    write_at(&file, b"DATA", 0);
    assert_eq!(read(m.path("d/f")), b"DATA");
    assert_eq!(
        stat(m.path("d/f")).st_ino,
        ok(rustix::fs::fstat(&file)).st_ino
    );
    l.assert_upper(&["d dir 755 origin", "d/f file 644 \"DATA\""]);
    drop(file);
    m.unmount();
    assert_eq!(read(l.upper().path("d/f")), b"DATA");
}

fn linked_over_a_whiteout(t: &Test) {
    let l = t.layers();
    l.lower(0).file("f", "lower");
    let m = l.mount();
    unlink(m.path("f"));
    let file = ok(tmpfile(m.root(), OFlags::empty()));
    write_at(&file, b"new", 0);
    ok(give_name(&file, &m.path("f")));
    assert_eq!(read(m.path("f")), b"new");
    assert!(!is_whiteout(l.upper().path("f")));
    l.assert_upper(&["f file 644 \"new\""]);
}

fn in_a_lower_directory(t: &Test) {
    let l = t.layers();
    l.lower(0).dir("a/b").mode("a/b", 0o711);
    let m = l.mount();
    let file = ok(tmpfile(&m.path("a/b"), OFlags::empty()));
    l.assert_upper(&["a dir 755 impure=y origin", "a/b dir 711 origin"]);
    ok(give_name(&file, &m.path("a/b/f")));
    assert_eq!(names(m.path("a/b")).len(), 1);
}

fn exclusive_cannot_be_linked(t: &Test) {
    let l = t.layers();
    let m = l.mount();
    let file = ok(tmpfile(m.root(), OFlags::EXCL));
    assert_eq!(errno(give_name(&file, &m.path("f"))), Errno::NOENT);
}

fn owner_and_mode(t: &Test) {
    let l = t.layers();
    l.lower(0).dir("d").mode("d", 0o777);
    let m = l.mount();
    let dir = m.path("d");
    let file = as_user(ALICE, || {
        with_umask(0o077, || ok(tmpfile(&dir, OFlags::empty())))
    });
    ok(give_name(&file, &dir.join("f")));
    let s = stat(l.upper().path("d/f"));
    assert_eq!(
        (s.st_uid, s.st_gid, s.st_mode & 0o7777),
        (ALICE, ALICE, 0o600)
    );
    assert_eq!(perm(m.path("d/f")), 0o600);
}

fn vanishes_when_closed(t: &Test) {
    let l = t.layers();
    let m = l.mount();
    let free = || ok(rustix::fs::statfs(l.root())).f_ffree;
    let before = free();
    for _ in 0..5 {
        let file = ok(tmpfile(m.root(), OFlags::empty()));
        write_at(&file, &[1; 8192], 0);
    }
    ok(rustix::fs::syncfs(rovl_testing::dirent::open(l.root())));
    assert_eq!(free(), before, "inodes in use");
}

fn xattrs_before_the_link(t: &Test) {
    let l = t.layers();
    let m = l.mount();
    let file = ok(tmpfile(m.root(), OFlags::empty()));
    let through = format!("/proc/self/fd/{}", file.as_raw_fd());
    ok(rustix::fs::setxattr(
        &through,
        "user.a",
        b"1",
        rustix::fs::XattrFlags::empty(),
    ));
    ok(rustix::fs::fchmod(&file, mode(0o600)));
    ok(give_name(&file, &m.path("f")));
    ok(setxattr(m.path("f"), "user.b", "2"));
    l.assert_upper(&["f file 600 \"\" user.a=\"1\" user.b=\"2\""]);
}

fn in_a_read_only_mount(t: &Test) {
    let l = t.layers();
    l.lower(0).dir("d");
    l.lower(1).dir("d");
    let m = l.mount_lowers();
    assert_eq!(errno(tmpfile(&m.path("d"), OFlags::empty())), Errno::ROFS);
}

fn number_of_links(t: &Test) {
    let l = t.layers();
    let m = l.mount();
    let file = ok(tmpfile(m.root(), OFlags::empty()));
    let count = || ok(rustix::fs::fstat(&file)).st_nlink;
    assert_eq!(count(), 0);
    ok(give_name(&file, &m.path("a")));
    assert_eq!(count(), 1);
    ok(give_name(&file, &m.path("b")));
    assert_eq!(count(), 2);
    unlink(m.path("a"));
    assert_eq!(count(), 1);
}

fn mapped_and_linked(t: &Test) {
    let l = t.layers();
    let m = l.mount();
    let file = ok(tmpfile(m.root(), OFlags::empty()));
    write_at(&file, &[b'a'; 4096], 0);
    let map = crate::files::mmap::Map::shared(&file, 4096);
    map.store(0, b"mapped");
    ok(give_name(&file, &m.path("f")));
    map.store(6, b" twice");
    assert_eq!(&read(m.path("f"))[..12], b"mapped twice");
}
