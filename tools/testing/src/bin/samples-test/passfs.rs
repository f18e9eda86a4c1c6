// SPDX-License-Identifier: GPL-2.0
//! What only passfs has: special files, holes, and the directory below.

use std::os::fd::AsFd;
use std::path::{Path, PathBuf};

use rovl_testing::caller::{as_user, ALICE};
use rovl_testing::mount::{granted, mount_table, reconfigure};
use rovl_testing::ops::{
    chmod, exists, mkdir, mknod, mode, names, open, open_read, open_write, pattern, read, set,
    stat, unlink, write, write_at,
};
use rovl_testing::{cases, errno, ok, Mounted, Request, Test};
use rustix::fs::{self, FallocateFlags, FileType, OFlags, SeekFrom};
use rustix::io::Errno;
use rustix::mm::MapFlags;
use rustix::mount::MountAttrFlags;

use crate::data::Map;
use crate::pair::compare_passfs;

cases! {
    special_files,
    allocation_and_holes,
    direct_io,
    shared_extents,
    whiteouts,
    options_are_shown,
    refused_mounts,
    named_by_descriptor,
    read_only_below,
    stacking,
    same_numbers_as_below,
    changes_below_are_seen,
    moved_below,
    two_mounts_of_one_directory,
    mapped_above_and_below,
    sync_reaches_below,
}

/// A directory, and passfs on it.
struct Stacked {
    below: PathBuf,
    mount: Mounted,
}

impl Stacked {
    fn new(t: &Test) -> Self {
        Self::on(t, &t.dir())
    }

    fn on(t: &Test, dir: &Path) -> Self {
        let (below, target) = (dir.join("below"), dir.join("mnt"));
        mkdir(&below);
        mkdir(&target);
        let mount = granted(t, request(&below).mount(&target));
        Self { below, mount }
    }
}

fn request(below: &Path) -> Request {
    Request::new("passfs").set("lower", below)
}

fn special_files(t: &Test) {
    compare_passfs(t, |p| {
        for (name, kind, dev) in [
            ("fifo", FileType::Fifo, 0),
            ("socket", FileType::Socket, 0),
            ("null", FileType::CharacterDevice, fs::makedev(1, 3)),
            ("block", FileType::BlockDevice, fs::makedev(7, 200)),
        ] {
            ok(mknod(p.path(name), kind, 0o640, dev));
            let stat = stat(p.path(name));
            p.see(name, (stat.st_mode, stat.st_rdev));
        }
        // A device is the device, wherever its file is.
        write_at(open_write(p.path("null")), b"gone", 0);
        p.see(
            "null",
            rustix::io::read(open_read(p.path("null")), &mut [0u8; 4]),
        );
        let fifo = open(p.path("fifo"), OFlags::RDWR | OFlags::NONBLOCK);
        ok(rustix::io::write(&fifo, b"text"));
        let mut buffer = [0u8; 8];
        p.see("fifo", (rustix::io::read(&fifo, &mut buffer), buffer));
        let made = as_user(ALICE, || {
            mknod("/proc/self/cwd/x", FileType::Fifo, 0o600, 0)
        });
        p.see("elsewhere", made.is_err());
    });
}

fn allocation_and_holes(t: &Test) {
    compare_passfs(t, |p| {
        write(p.path("f"), pattern(64 << 10, 1));
        let file = open_write(p.path("f"));
        let hole = FallocateFlags::PUNCH_HOLE | FallocateFlags::KEEP_SIZE;
        p.try_step("punch", fs::fallocate(&file, hole, 16 << 10, 16 << 10));
        p.try_step(
            "allocate",
            fs::fallocate(&file, FallocateFlags::empty(), 0, 128 << 10),
        );
        p.see("size", stat(p.path("f")).st_size);
        ok(fs::fsync(&file));
        for (what, step) in [
            ("data", SeekFrom::Data(0)),
            ("hole", SeekFrom::Hole(0)),
            ("data behind it", SeekFrom::Data(16 << 10)),
            ("past the end", SeekFrom::Data(1 << 30)),
        ] {
            p.see(what, fs::seek(&file, step));
        }
        p.see("blocks", stat(p.path("f")).st_blocks);
        let zeroed = &read(p.path("f"))[16 << 10..32 << 10];
        p.see("zeroes", zeroed.iter().all(|byte| *byte == 0));
        let advice = fs::Advice::Sequential;
        p.try_step("advice", fs::fadvise(&file, 0, None, advice));
    });
}

fn direct_io(t: &Test) {
    compare_passfs(t, |p| {
        write(p.path("f"), pattern(16 << 10, 2));
        let file = open(p.path("f"), OFlags::RDWR | OFlags::DIRECT);
        #[repr(align(4096))]
        struct Aligned([u8; 4096]);
        let mut page = Box::new(Aligned([0; 4096]));
        p.see("read", rustix::io::pread(&file, &mut page.0, 4096));
        p.see("content", page.0[..] == pattern(16 << 10, 2)[4096..8192]);
        page.0.fill(7);
        p.see("write", rustix::io::pwrite(&file, &page.0, 16 << 10));
        p.see("size", stat(p.path("f")).st_size);
        p.see("seen", read(p.path("f"))[16 << 10]);
    });
}

/// Needs a file system that shares extents.
fn shared_extents(t: &Test) {
    let dir = t.dir_on("xfs");
    let s = Stacked::on(t, &dir);
    let data = pattern(64 << 10, 3);
    write(s.mount.path("f"), &data);
    write(s.mount.path("g"), "");
    let to = open_write(s.mount.path("g"));
    ok(fs::ioctl_ficlone(&to, open_read(s.mount.path("f"))));
    assert_eq!(read(s.below.join("g")), data);
    write_at(&to, b"changed", 0);
    assert_eq!(read(s.mount.path("f")), data);
    assert_eq!(&read(s.mount.path("g"))[..7], b"changed");
    // Between a mount and what is below it there is no way.
    let below = open_read(s.below.join("f"));
    assert_eq!(errno(fs::ioctl_ficlone(&to, below)), Errno::XDEV);
}

fn whiteouts(t: &Test) {
    compare_passfs(t, |p| {
        write(p.path("f"), "x");
        let flags = fs::RenameFlags::WHITEOUT;
        let renamed = fs::renameat_with(fs::CWD, p.path("f"), fs::CWD, p.path("g"), flags);
        p.try_step("rename", renamed);
        let left = fs::lstat(p.path("f")).map(|stat| (stat.st_mode, stat.st_rdev));
        p.see("left", left);
        p.see("moved", fs::lstat(p.path("g")).is_ok());
    });
}

fn options_are_shown(t: &Test) {
    let dir = t.dir();
    let (below, target) = (dir.join("with, comma"), dir.join("mnt"));
    mkdir(&below);
    mkdir(&target);
    let mount = granted(t, request(&below).mount(&target));
    let table = mount_table();
    let line = table.iter().find(|line| line.target == target);
    let line = line.map(|line| (line.kind.as_str(), line.super_options.clone()));
    let shown = below.display().to_string().replace(',', "\\054");
    let shown = shown.replace(' ', "\\040");
    assert_eq!(line, Some(("passfs", format!("rw,lower={shown}"))));
    let refused = reconfigure(&target, &[], &[("lower", "/")]);
    let refused = refused.expect_err("a mount took another directory");
    assert_eq!(refused.errno, Errno::INVAL);
    assert!(
        refused.describe().contains("keeps its directory"),
        "{refused:?}"
    );
    let same = below.display().to_string();
    let same = reconfigure(&target, &["ro"], &[("lower", &same)]);
    ok(same.map_err(|refused| refused.describe()));
    mount.unmount();
}

fn refused_mounts(t: &Test) {
    let dir = t.dir();
    write(dir.join("file"), "");
    mkdir(dir.join("mnt"));
    let refused = |request: Request| {
        let refused = request.mount(&dir.join("mnt"));
        let refused = refused.expect_err("a mount was not refused");
        (refused.errno, refused.log.join("\n"))
    };
    let (error, log) = refused(Request::new("passfs"));
    assert_eq!(error, Errno::INVAL);
    assert!(log.contains("lower="), "{log}");
    let (error, log) = refused(request(&dir.join("file")));
    assert_eq!(error, Errno::NOTDIR);
    assert!(log.contains("not a directory"), "{log}");
    let (error, log) = refused(request(&dir.join("no")));
    assert_eq!(error, Errno::NOENT);
    assert!(log.contains("no such directory"), "{log}");
    let (error, _log) = refused(request(&dir).flag("unknown"));
    assert_eq!(error, Errno::INVAL);
}

fn named_by_descriptor(t: &Test) {
    let dir = t.dir();
    let (below, target) = (dir.join("below"), dir.join("mnt"));
    mkdir(&below);
    mkdir(&target);
    write(below.join("f"), "x");
    let fd = open(&below, OFlags::PATH | OFlags::DIRECTORY);
    let mount = granted(t, Request::new("passfs").fd("lower", fd).mount(&target));
    assert_eq!(read(mount.path("f")), b"x");
    let table = mount_table();
    let line = table.iter().find(|line| line.target == target);
    let shown = line
        .map(|line| line.super_options.clone())
        .unwrap_or_default();
    assert!(
        shown.ends_with(&format!("lower={}", below.display())),
        "{shown}"
    );
}

fn read_only_below(t: &Test) {
    let dir = t.dir();
    let (below, bound, target) = (dir.join("below"), dir.join("bound"), dir.join("mnt"));
    for path in [&below, &bound, &target] {
        mkdir(path);
    }
    write(below.join("f"), "x");
    let bind = rovl_testing::mount::bind(&below, &bound);
    let flags = rustix::mount::MountFlags::BIND | rustix::mount::MountFlags::RDONLY;
    ok(rustix::mount::mount_remount(&bound, flags, ""));
    let mount = granted(t, request(&bound).mount(&target));
    assert_eq!(read(mount.path("f")), b"x");
    assert_eq!(errno(fs::mkdir(mount.path("d"), mode(0o755))), Errno::ROFS);
    assert_eq!(errno(fs::unlink(mount.path("f"))), Errno::ROFS);
    let writing = fs::open(mount.path("f"), OFlags::WRONLY, mode(0));
    assert_eq!(errno(writing), Errno::ROFS);
    mount.unmount();
    bind.unmount();
}

/// An overlay may be below, but not another passfs.
fn stacking(t: &Test) {
    let layers = t.layers();
    layers.lower(0).file("f", "from below").dir("d");
    let overlay = granted(t, overlay(&layers).mount(&layers.merged()));
    let target = t.dir().join("above");
    mkdir(&target);
    let mount = granted(t, request(overlay.root()).mount(&target));
    let file = open_write(mount.path("f"));
    let map = ok(Map::new(&file, 4096, MapFlags::SHARED));
    map.set(0, b'F');
    assert_eq!(read(overlay.path("f")), b"From below");
    ok(fs::rename(mount.path("f"), mount.path("d/g")));
    assert_eq!(names(overlay.path("d")), set(&["g"]));
    ok(fs::syncfs(&file));
    drop((map, file));

    let second = t.dir().join("second");
    mkdir(&second);
    let refused = request(mount.root()).mount(&second);
    let refused = refused.expect_err("passfs on passfs");
    assert_eq!(refused.errno, Errno::INVAL);
    assert!(
        refused.describe().contains("it is on a passfs"),
        "{refused:?}"
    );
    mount.unmount();
}

/// A mount of the in-tree overlay on `layers`.
fn overlay(layers: &rovl_testing::Layers<'_>) -> Request {
    Request::new("overlay")
        .set("lowerdir", layers.lower(0).root())
        .set("upperdir", layers.upper().root())
        .set("workdir", layers.work())
}

fn same_numbers_as_below(t: &Test) {
    let s = Stacked::new(t);
    write(s.mount.path("f"), "x");
    let (above, below) = (stat(s.mount.path("f")), stat(s.below.join("f")));
    assert_eq!(above.st_ino, below.st_ino);
    assert_ne!(above.st_dev, below.st_dev);
    assert_eq!(above.st_blocks, below.st_blocks);
    let (above, below) = (ok(fs::statfs(s.mount.root())), ok(fs::statfs(&s.below)));
    assert_eq!(above.f_blocks, below.f_blocks);
    assert_eq!(above.f_files, below.f_files);
    assert_ne!(above.f_type, below.f_type);
}

fn changes_below_are_seen(t: &Test) {
    let s = Stacked::new(t);
    write(s.below.join("f"), "before");
    let file = open_read(s.mount.path("f"));
    write(s.below.join("f"), "after");
    let mut data = [0u8; 16];
    let len = ok(rustix::io::pread(&file, &mut data, 0));
    assert_eq!(&data[..len], b"after");
    assert_eq!(stat(s.mount.path("f")).st_size, 5);
    chmod(s.below.join("f"), 0o600);
    assert_eq!(rovl_testing::ops::perm(s.mount.path("f")), 0o600);
    // A name that is gone below is not removed above, and the inode that is open stays.
    unlink(s.below.join("f"));
    assert_eq!(errno(fs::unlink(s.mount.path("f"))), Errno::NOENT);
    let len = ok(rustix::io::pread(&file, &mut data, 0));
    assert_eq!(&data[..len], b"after");
    // Another file under a known name is not taken for the one that was known.
    write(s.mount.path("g"), "mine");
    let held = open_read(s.mount.path("g"));
    ok(fs::rename(s.below.join("g"), s.below.join("old")));
    write(s.below.join("g"), "another");
    assert_eq!(errno(fs::unlink(s.mount.path("g"))), Errno::STALE);
    assert_eq!(read(s.below.join("g")), b"another");
    drop(held);
}

fn moved_below(t: &Test) {
    let s = Stacked::new(t);
    mkdir(s.mount.path("a"));
    mkdir(s.mount.path("b"));
    write(s.mount.path("a/f"), "x");
    let dir = rovl_testing::dirent::open(s.mount.path("a"));
    ok(fs::rename(s.below.join("a"), s.below.join("b/a")));
    // It is found where it is now, and whoever has it open goes on using it.
    assert_eq!(read(s.mount.path("b/a/f")), b"x");
    ok(fs::mkdirat(dir.as_fd(), "made", mode(0o755)));
    assert!(exists(s.below.join("b/a/made")));
}

fn two_mounts_of_one_directory(t: &Test) {
    let s = Stacked::new(t);
    let other = t.dir().join("other");
    mkdir(&other);
    let attributes = MountAttrFlags::MOUNT_ATTR_NOSUID;
    let second = granted(t, request(&s.below).attributes(attributes).mount(&other));
    write(s.mount.path("f"), "one");
    let file = open_write(second.path("f"));
    write_at(&file, b"two", 0);
    assert_eq!(read(s.mount.path("f")), b"two");
    // Bytes go from the one to the other like between any two file systems.
    write(second.path("g"), "");
    let (from, to) = (open_read(s.mount.path("f")), open_write(second.path("g")));
    let copied = ok(fs::copy_file_range(&from, None, &to, None, 100));
    assert_eq!(copied, 3);
    assert_eq!(read(s.below.join("g")), b"two");
    drop((file, from, to));
    second.unmount();
}

fn mapped_above_and_below(t: &Test) {
    let s = Stacked::new(t);
    write(s.mount.path("f"), pattern(8192, 4));
    let (above, below) = (open_write(s.mount.path("f")), open_write(s.below.join("f")));
    let one = ok(Map::new(&above, 8192, MapFlags::SHARED));
    let two = ok(Map::new(&below, 8192, MapFlags::SHARED));
    one.set(5000, b'A');
    assert_eq!(two.get(5000), b'A');
    two.set(100, b'B');
    assert_eq!(one.get(100), b'B');
    assert_eq!(read(s.mount.path("f"))[100], b'B');
    // The mapping has the name by which the file was opened.
    let maps = ok(std::fs::read_to_string("/proc/self/maps"));
    let name = s.mount.path("f").display().to_string();
    assert!(maps.contains(&name), "{name} is not in /proc/self/maps");
}

fn sync_reaches_below(t: &Test) {
    let s = Stacked::new(t);
    write(s.mount.path("f"), pattern(100_000, 5));
    let file = open_write(s.mount.path("f"));
    ok(fs::fsync(&file));
    ok(fs::syncfs(&file));
    // Blocks are allocated when data is written back.
    assert!(stat(s.below.join("f")).st_blocks >= 100_000 / 512);
    let dir = rovl_testing::dirent::open(s.mount.root());
    ok(fs::fsync(&dir));
    let reader = open_read(s.mount.path("f"));
    ok(fs::fsync(&reader));
}
