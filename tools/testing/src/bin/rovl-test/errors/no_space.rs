// SPDX-License-Identifier: GPL-2.0
//! A full upper file system: ENOSPC and EDQUOT at the steps of a copy-up and of other changes.

use std::os::fd::AsRawFd;
use std::path::Path;

use rovl_testing::block::{mount_nodev, Image};
use rovl_testing::ops::{
    assert_same_bytes, chmod, exists, names, open_read, open_write, pattern, read, read_fd, set,
    unlink, write,
};
use rovl_testing::{cases, errno, ok, skip, Layers, Mounted, Test};
use rustix::fs::OFlags;
use rustix::io::Errno;

cases! {
    data_of_a_copy_up,
    inode_of_a_copy_up,
    inode_of_a_parent,
    attributes_of_a_copy_up,
    name_of_a_copy_up,
    reader_goes_on_after_a_failed_copy_up,
    whiteout,
    new_names,
    rename_of_a_lower_file,
    work_directory,
    write_after_the_copy_up,
    quota_of_blocks,
    quota_of_inodes,
}

/// Layers with the upper one on a tmpfs of its own, and the lower ones elsewhere.
fn on_tmpfs<'a>(t: &'a Test, options: &str) -> (Mounted, Layers<'a>) {
    let dir = t.dir();
    let tmpfs = mount_nodev("tmpfs", &dir.join("small"), options);
    let l = t.layers_in(tmpfs.root()).lowers_in(&dir);
    (tmpfs, l)
}

/// Writes to `path` until the file system is full, and then a little less.
fn fill(path: &Path, keep_bytes: u64) {
    let file = rovl_testing::ops::open(path, OFlags::CREATE | OFlags::RDWR);
    let mut size = 0u64;
    for step in [1 << 20, 64 << 10, 1 << 10] {
        while let Ok(n) = rustix::io::pwrite(&file, &vec![1u8; step], size) {
            size += n as u64;
        }
    }
    ok(rustix::fs::ftruncate(
        &file,
        size.saturating_sub(keep_bytes),
    ));
}

/// Makes empty files until the file system has no inode left, and then removes `keep` of them.
fn fill_inodes(dir: &Path, keep: usize) {
    ok(std::fs::create_dir_all(dir));
    let mut count = 0usize;
    while std::fs::write(dir.join(count.to_string()), "").is_ok() {
        count += 1;
    }
    let _ = std::fs::remove_file(dir.join(count.to_string()));
    for n in count.saturating_sub(keep)..count {
        unlink(dir.join(n.to_string()));
    }
}

fn open_for_writing(path: &Path) -> Errno {
    errno(rustix::fs::open(path, OFlags::WRONLY, 0.into()))
}

fn data_of_a_copy_up(t: &Test) {
    let (_tmpfs, l) = on_tmpfs(t, "size=8m");
    let data = pattern(4 << 20, 1);
    l.lower(0).file("d/big", &data).file("d/small", "small");
    let before = l.lowers_snapshot();
    let m = l.mount();
    fill(&l.root().join("filler"), 2 << 20);
    assert_eq!(open_for_writing(&m.path("d/big")), Errno::NOSPC);
    assert_same_bytes(&read(m.path("d/big")), &data);
    assert!(!exists(l.upper().path("d/big")));
    let free = ok(rustix::fs::statfs(l.root())).f_bfree;
    assert!(
        free > 300,
        "the partial copy is gone: {free} blocks are free"
    );
    write(m.path("d/small"), "fits");
    unlink(l.root().join("filler"));
    drop(open_write(m.path("d/big")));
    assert_same_bytes(&read(l.upper().path("d/big")), &data);
    before[0].assert_same(&l.lowers_snapshot()[0]);
}

fn inode_of_a_copy_up(t: &Test) {
    let (_tmpfs, l) = on_tmpfs(t, "size=8m,nr_inodes=200");
    l.lower(0).file("f", "x").dir("d").symlink("s", "x");
    let m = l.mount();
    fill_inodes(&l.root().join("filler"), 0);
    for name in ["f", "d"] {
        assert_eq!(
            errno(rustix::fs::chmod(m.path(name), 0o700.into())),
            Errno::NOSPC,
            "{name}"
        );
    }
    assert_eq!(
        errno(rovl_testing::ops::setxattr(m.path("s"), "trusted.a", "1")),
        Errno::NOSPC
    );
    l.assert_upper(&[]);
    ok(std::fs::remove_dir_all(l.root().join("filler")));
    for name in ["f", "d"] {
        chmod(m.path(name), 0o700);
    }
}

fn inode_of_a_parent(t: &Test) {
    let (_tmpfs, l) = on_tmpfs(t, "size=8m,nr_inodes=200");
    l.lower(0).file("a/b/c/f", "x");
    let m = l.mount();
    fill_inodes(&l.root().join("filler"), 2);
    assert_eq!(open_for_writing(&m.path("a/b/c/f")), Errno::NOSPC);
    assert_eq!(names(m.path("a/b/c")), set(&["f"]));
    ok(std::fs::remove_dir_all(l.root().join("filler")));
    chmod(m.path("a/b/c/f"), 0o600);
    l.assert_upper(&[
        "a dir 755 impure=y origin",
        "a/b dir 755 impure=y origin",
        "a/b/c dir 755 impure=y origin",
        "a/b/c/f file 600 \"x\" origin",
    ]);
}

fn attributes_of_a_copy_up(t: &Test) {
    let dir = t.dir();
    // With inodes of 128 bytes all attributes have to fit into one block.
    let mkfs = &["-q", "-I", "128", "-b", "1024", "-O", "^ea_inode"];
    let image = Image::new(&dir, 16 << 20, "ext4", mkfs, "");
    let l = t.layers_in(image.root()).lowers_in(&dir);
    l.lower(0)
        .file("f", "x")
        .xattr("f", "user.long", pattern(1500, 1));
    let m = l.mount();
    assert_eq!(open_for_writing(&m.path("f")), Errno::NOSPC);
    assert_eq!(read(m.path("f")), b"x");
    l.assert_upper(&[]);
}

fn name_of_a_copy_up(t: &Test) {
    let dir = t.dir();
    let image = Image::new(&dir, 16 << 20, "ext4", &["-q", "-b", "1024", "-m", "0"], "");
    let l = t.layers_in(image.root()).lowers_in(&dir);
    let name = |n: u32| format!("{n}{}", "n".repeat(239));
    // Three such names and the two dots fill the block of the directory.
    for n in 0..3 {
        l.upper().file(format!("d/{}", name(n)), "");
    }
    let target = format!("d/{}", name(9));
    l.lower(0).file(&target, "");
    let m = l.mount();
    let kept = open_read(m.path(&target));
    fill(&image.root().join("filler"), 0);
    assert_eq!(open_for_writing(&m.path(&target)), Errno::NOSPC);
    assert!(!exists(l.upper().path(&target)));
    assert_eq!(names(m.path("d")).len(), 4);
    unlink(image.root().join("filler"));
    write(m.path(&target), "now");
    assert_eq!(read(l.upper().path(&target)), b"now");
    drop(kept);
}

fn reader_goes_on_after_a_failed_copy_up(t: &Test) {
    let (_tmpfs, l) = on_tmpfs(t, "size=4m");
    let data = pattern(3 << 20, 1);
    l.lower(0).file("f", &data);
    let m = l.mount();
    let reader = open_read(m.path("f"));
    let number = rovl_testing::ops::stat(m.path("f")).st_ino;
    fill(&l.root().join("filler"), 1 << 20);
    for _ in 0..3 {
        assert_eq!(open_for_writing(&m.path("f")), Errno::NOSPC);
    }
    assert_same_bytes(&read_fd(&reader), &data);
    assert_eq!(rovl_testing::ops::stat(m.path("f")).st_ino, number);
    unlink(l.root().join("filler"));
    drop(open_write(m.path("f")));
    assert_same_bytes(&read_fd(&reader), &data);
}

fn whiteout(t: &Test) {
    let (_tmpfs, l) = on_tmpfs(t, "size=8m,nr_inodes=200");
    l.lower(0).file("f", "x").dir("d").file("sub/g", "");
    let before = l.lowers_snapshot();
    let m = l.mount();
    fill_inodes(&l.root().join("filler"), 0);
    assert_eq!(errno(rustix::fs::unlink(m.path("f"))), Errno::NOSPC);
    assert_eq!(errno(rustix::fs::rmdir(m.path("d"))), Errno::NOSPC);
    assert_eq!(errno(rustix::fs::unlink(m.path("sub/g"))), Errno::NOSPC);
    assert_eq!(names(m.root()), set(&["d", "f", "sub"]));
    assert_eq!(read(m.path("f")), b"x");
    l.assert_upper(&[]);
    before[0].assert_same(&l.lowers_snapshot()[0]);
}

fn new_names(t: &Test) {
    let (_tmpfs, l) = on_tmpfs(t, "size=8m,nr_inodes=200");
    l.lower(0).file("gone", "");
    let m = l.mount();
    unlink(m.path("gone"));
    fill_inodes(&l.root().join("filler"), 0);
    let create = OFlags::CREATE | OFlags::WRONLY;
    for name in ["new", "gone"] {
        let path = m.path(name);
        assert_eq!(
            errno(rustix::fs::open(&path, create, 0o644.into())),
            Errno::NOSPC
        );
        assert_eq!(errno(rustix::fs::mkdir(&path, 0o755.into())), Errno::NOSPC);
        assert_eq!(errno(rustix::fs::symlink("x", &path)), Errno::NOSPC);
        assert!(!exists(&path));
    }
    let tmpfile = rustix::fs::open(m.root(), OFlags::TMPFILE | OFlags::RDWR, 0o644.into());
    assert_eq!(errno(tmpfile), Errno::NOSPC);
    l.assert_upper(&["gone whiteout"]);
}

fn rename_of_a_lower_file(t: &Test) {
    let (_tmpfs, l) = on_tmpfs(t, "size=8m,nr_inodes=200");
    l.lower(0).file("a", "x");
    let before = l.lowers_snapshot();
    let m = l.mount();
    fill_inodes(&l.root().join("filler"), 0);
    assert_eq!(
        errno(rustix::fs::rename(m.path("a"), m.path("b"))),
        Errno::NOSPC
    );
    assert_eq!(names(m.root()), set(&["a"]));
    // One inode is enough for the copy, and not for the whiteout.
    unlink(l.root().join("filler/0"));
    assert_eq!(
        errno(rustix::fs::rename(m.path("a"), m.path("b"))),
        Errno::NOSPC
    );
    assert_eq!(names(m.root()), set(&["a"]));
    assert_eq!(read(m.path("a")), b"x");
    before[0].assert_same(&l.lowers_snapshot()[0]);
}

fn work_directory(t: &Test) {
    let (_tmpfs, l) = on_tmpfs(t, "size=8m,nr_inodes=200");
    l.lower(0).file("f", "x");
    fill_inodes(&l.root().join("filler"), 0);
    // The mount is granted, read-only: its work directory cannot be made.
    let m = l.mount();
    assert_eq!(open_for_writing(&m.path("f")), Errno::ROFS);
    m.unmount();
    ok(std::fs::remove_dir_all(l.root().join("filler")));
    let m = l.mount();
    write(m.path("f"), "y");
}

fn write_after_the_copy_up(t: &Test) {
    let (_tmpfs, l) = on_tmpfs(t, "size=4m");
    l.lower(0).file("f", pattern(100_000, 1));
    let m = l.mount();
    let file = open_write(m.path("f"));
    fill(&l.root().join("filler"), 0);
    assert_eq!(
        errno(rustix::io::pwrite(&file, &[2u8; 65536], 1 << 20)),
        Errno::NOSPC
    );
    assert_same_bytes(&read_fd(&file), &pattern(100_000, 1));
    let space = rustix::fs::FallocateFlags::empty();
    assert_eq!(
        errno(rustix::fs::fallocate(&file, space, 0, 2 << 20)),
        Errno::NOSPC
    );
}

const PROJECT: u32 = 77;

/// Limits of a project, in the form of the kernel's `struct if_dqblk`.
#[repr(C)]
#[derive(Default)]
struct Limits {
    block_hard: u64,
    block_soft: u64,
    space: u64,
    inode_hard: u64,
    inode_soft: u64,
    inodes: u64,
    block_time: u64,
    inode_time: u64,
    valid: u32,
}

/// An ext4 whose directory `dir` may hold only so many kibibytes and inodes.
fn with_quota(t: &Test, kibibytes: u64, inodes: u64) -> Image {
    let mkfs = &["-q", "-O", "quota,project", "-E", "quotatype=prjquota"];
    let image = Image::new(&t.dir(), 32 << 20, "ext4", mkfs, "prjquota");
    let dir = image.root().join("dir");
    rovl_testing::ops::mkdir(&dir);
    set_project(&dir);
    let limits = Limits {
        block_hard: kibibytes,
        inode_hard: inodes,
        valid: 1 | 4,
        ..Limits::default()
    };
    const Q_SETQUOTA: u32 = 0x80_0008;
    const PRJQUOTA: u32 = 2;
    let root = rovl_testing::dirent::open(image.root());
    // SAFETY: the request reads the structure.
    let result = unsafe {
        libc::syscall(
            libc::SYS_quotactl_fd,
            root.as_raw_fd(),
            (Q_SETQUOTA << 8) | PRJQUOTA,
            PROJECT,
            &raw const limits,
        )
    };
    if result != 0 {
        skip(format!(
            "quotactl: {} (module quota_v2?)",
            std::io::Error::last_os_error()
        ));
    }
    image
}

/// Marks a directory so that it and what is made in it belong to the project.
fn set_project(dir: &Path) {
    const FS_IOC_FSSETXATTR: libc::c_ulong = 0x401c_5820;
    const FS_XFLAG_PROJINHERIT: u32 = 0x200;
    let mut attributes = [0u32; 7];
    attributes[0] = FS_XFLAG_PROJINHERIT;
    attributes[3] = PROJECT;
    let dir = rovl_testing::dirent::open(dir);
    // SAFETY: the request reads a structure of 28 bytes.
    let result = unsafe { libc::ioctl(dir.as_raw_fd(), FS_IOC_FSSETXATTR, attributes.as_ptr()) };
    assert_eq!(
        result,
        0,
        "FS_IOC_FSSETXATTR: {}",
        std::io::Error::last_os_error()
    );
}

fn quota_of_blocks(t: &Test) {
    let image = with_quota(t, 1024, 0);
    let l = t.layers_in(&image.root().join("dir")).lowers_in(&t.dir());
    let data = pattern(3 << 20, 1);
    l.lower(0).file("d/big", &data).file("d/small", "x");
    let before = l.lowers_snapshot();
    let m = l.mount();
    assert_eq!(open_for_writing(&m.path("d/big")), Errno::DQUOT);
    assert!(!exists(l.upper().path("d/big")));
    assert_same_bytes(&read(m.path("d/big")), &data);
    write(m.path("d/small"), "fits");
    let file = open_write(m.path("d/small"));
    let full = (0..64).find_map(|n| rustix::io::pwrite(&file, &[1u8; 65536], n << 16).err());
    assert_eq!(full, Some(Errno::DQUOT));
    before[0].assert_same(&l.lowers_snapshot()[0]);
}

fn quota_of_inodes(t: &Test) {
    let image = with_quota(t, 0, 20);
    let l = t.layers_in(&image.root().join("dir")).lowers_in(&t.dir());
    l.lower(0).file("d/f", "x").file("d/g", "x");
    let m = l.mount();
    // Through the overlay: root itself is above the quota, the mounter is not.
    fill_inodes(&m.path("filler"), 0);
    assert_eq!(open_for_writing(&m.path("d/f")), Errno::DQUOT);
    assert_eq!(errno(rustix::fs::unlink(m.path("d/g"))), Errno::DQUOT);
    assert_eq!(names(m.path("d")), set(&["f", "g"]));
    assert_eq!(read(m.path("d/f")), b"x");
    ok(std::fs::remove_dir_all(m.path("filler")));
    chmod(m.path("d/f"), 0o600);
}
