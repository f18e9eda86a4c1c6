// SPDX-License-Identifier: GPL-2.0
//! All that `statx(2)` tells.

use std::path::Path;

use rovl_testing::ops::{chmod, open, open_write, set_file_flags, write_at};
use rovl_testing::raw::{result, text};
use rovl_testing::{cases, ok, skip, Test};
use rustix::fs::{IFlags, OFlags};

cases! {
    birth_is_that_of_the_shown_object,
    attributes_of_the_layer,
    attributes_that_protect,
    mount_is_the_overlay,
    root_of_the_mount_is_marked,
    alignment_for_direct_io,
    other_fields_are_those_of_the_layer,
    subvolume_is_that_of_the_layer,
    mask_is_that_of_the_layer,
    not_synchronised,
    of_the_end_of_an_automount,
    fields_over_a_copy_up,
}

const ALL: u32 = 0x7fff_ffff;
const BTIME: u32 = 0x800;
const MNT_ID: u32 = 0x1000;
const DIOALIGN: u32 = 0x2000;
const MNT_ID_UNIQUE: u32 = 0x4000;
const SUBVOL: u32 = 0x8000;
const WRITE_ATOMIC: u32 = 0x1_0000;

const ATTR_IMMUTABLE: u64 = 0x10;
const ATTR_APPEND: u64 = 0x20;
const ATTR_NODUMP: u64 = 0x40;
const ATTR_MOUNT_ROOT: u64 = 0x2000;

/// `struct statx`
#[repr(C)]
#[derive(Debug, Default, Clone, Copy)]
struct Statx {
    mask: u32,
    blksize: u32,
    attributes: u64,
    nlink: u32,
    uid: u32,
    gid: u32,
    mode: u16,
    spare: u16,
    ino: u64,
    size: u64,
    blocks: u64,
    attributes_mask: u64,
    /// Access, birth, change, modification: seconds and nanoseconds.
    times: [(i64, u32, i32); 4],
    rdev: [u32; 2],
    dev: [u32; 2],
    mount: u64,
    dio_memory: u32,
    dio_offset: u32,
    subvolume: u64,
    atomic: [u32; 4],
    rest: [u64; 10],
}

fn statx_with(path: impl AsRef<Path>, mask: u32, flags: i32) -> Statx {
    let (mut stat, path) = (Statx::default(), text(path));
    let flags = flags | libc::AT_SYMLINK_NOFOLLOW;
    // SAFETY: the structure is as large as the kernel's.
    let returned = unsafe {
        libc::syscall(
            libc::SYS_statx,
            libc::AT_FDCWD,
            path.as_ptr(),
            flags,
            mask,
            &raw mut stat,
        )
    };
    ok(result(returned));
    stat
}

fn statx(path: impl AsRef<Path>) -> Statx {
    statx_with(path, ALL, 0)
}

fn birth(path: impl AsRef<Path>) -> Option<(i64, u32)> {
    let stat = statx(path);
    (stat.mask & BTIME != 0).then_some((stat.times[1].0, stat.times[1].1))
}

fn birth_is_that_of_the_shown_object(t: &Test) {
    let l = t.layers();
    l.lower(0).file("f", "x").dir("d").symlink("s", "x");
    let m = l.mount();
    for name in ["f", "d", "s"] {
        let lower = birth(l.lower(0).path(name));
        if lower.is_none() {
            skip("the file system below keeps no birth time");
        }
        assert_eq!(birth(m.path(name)), lower, "{name}");
        rovl_testing::ops::utimes(m.path(name), 1, 2);
        assert_eq!(birth(m.path(name)), birth(l.upper().path(name)), "{name}");
        assert_ne!(birth(m.path(name)), lower, "{name}");
    }
}

fn attributes_of_the_layer(t: &Test) {
    let l = t.layers();
    l.lower(0).file("f", "x").file("plain", "x");
    let file = open(l.lower(0).path("f"), OFlags::RDONLY);
    let flags = ok(rustix::fs::ioctl_getflags(&file));
    ok(rustix::fs::ioctl_setflags(&file, flags | IFlags::NODUMP));
    let m = l.mount();
    for name in ["f", "plain", "."] {
        let (seen, below) = (statx(m.path(name)), statx(l.lower(0).path(name)));
        assert_eq!(
            seen.attributes & !ATTR_MOUNT_ROOT,
            below.attributes,
            "{name}"
        );
        assert_eq!(seen.attributes_mask, below.attributes_mask, "{name}");
    }
    assert_ne!(statx(m.path("f")).attributes & ATTR_NODUMP, 0);
}

fn attributes_that_protect(t: &Test) {
    let l = t.layers();
    l.lower(0).file("f", "x").dir("d");
    let m = l.mount();
    for name in ["f", "d"] {
        ok(set_file_flags(
            m.path(name),
            IFlags::IMMUTABLE | IFlags::APPEND,
        ));
        let seen = statx(m.path(name));
        let both = ATTR_IMMUTABLE | ATTR_APPEND;
        assert_eq!(seen.attributes & both, both, "{name}");
        assert_eq!(seen.attributes_mask & both, both, "{name}");
        assert_eq!(statx(l.upper().path(name)).attributes & both, 0, "{name}");
        ok(set_file_flags(m.path(name), IFlags::empty()));
        assert_eq!(statx(m.path(name)).attributes & both, 0, "{name}");
    }
}

fn mount_is_the_overlay(t: &Test) {
    let l = t.layers();
    l.lower(0).file("f", "x").dir("d");
    let m = l.mount();
    let root = statx(m.root());
    assert_ne!(root.mask & (MNT_ID | MNT_ID_UNIQUE), 0);
    for name in ["f", "d"] {
        assert_eq!(statx(m.path(name)).mount, root.mount, "{name}");
        let short = statx_with(m.path(name), MNT_ID, 0);
        assert_eq!(short.mount, statx_with(m.root(), MNT_ID, 0).mount);
    }
    assert_ne!(statx(l.lower(0).root()).mount, root.mount);
}

fn root_of_the_mount_is_marked(t: &Test) {
    let l = t.layers();
    l.lower(0).dir("d");
    let m = l.mount();
    let marked = |path: &Path| statx(path).attributes & ATTR_MOUNT_ROOT != 0;
    assert!(marked(m.root()));
    assert!(!marked(&m.path("d")));
}

fn alignment_for_direct_io(t: &Test) {
    for name in ["ext4", "xfs"] {
        let l = t.layers_in(&t.dir_on(name));
        l.lower(0).file("f", "x");
        let m = l.mount();
        let (seen, below) = (statx(m.path("f")), statx(l.lower(0).path("f")));
        assert_eq!(seen.mask & DIOALIGN, below.mask & DIOALIGN, "{name}");
        assert_eq!(
            (seen.dio_memory, seen.dio_offset),
            (below.dio_memory, below.dio_offset),
            "{name}"
        );
        m.unmount();
    }
}

fn other_fields_are_those_of_the_layer(t: &Test) {
    let l = t.layers();
    l.lower(0).file("f", "some data");
    let m = l.mount();
    drop(open_write(m.path("f")));
    let (seen, below) = (statx(m.path("f")), statx(l.upper().path("f")));
    assert_eq!(
        (seen.blksize, seen.blocks, seen.size, seen.nlink),
        (below.blksize, below.blocks, below.size, below.nlink)
    );
    assert_eq!(seen.times, below.times);
    assert_eq!(seen.mask & WRITE_ATOMIC, below.mask & WRITE_ATOMIC);
    assert_eq!(seen.atomic, below.atomic);
    assert_eq!(seen.rest, below.rest);
}

fn subvolume_is_that_of_the_layer(t: &Test) {
    let l = t.layers();
    l.lower(0).file("f", "x");
    let m = l.mount();
    let (seen, below) = (statx(m.path("f")), statx(l.lower(0).path("f")));
    assert_eq!(seen.mask & SUBVOL, below.mask & SUBVOL);
    assert_eq!(seen.subvolume, below.subvolume);
}

fn mask_is_that_of_the_layer(t: &Test) {
    let l = t.layers();
    l.lower(0).file("f", "x").dir("d");
    let m = l.mount();
    for name in ["f", "d"] {
        let mask = |path| statx(path).mask;
        assert_eq!(mask(m.path(name)), mask(l.lower(0).path(name)), "{name}");
    }
    // What is not asked for is told too, where it costs nothing.
    let little = statx_with(m.path("f"), 0, 0);
    let below = statx_with(l.lower(0).path("f"), 0, 0);
    assert_eq!(little.mask, below.mask);
}

fn not_synchronised(t: &Test) {
    let l = t.layers();
    l.lower(0).file("f", "x");
    let m = l.mount();
    let file = open_write(m.path("f"));
    write_at(&file, b"12345", 0);
    for flags in [libc::AT_STATX_FORCE_SYNC, libc::AT_STATX_DONT_SYNC] {
        assert_eq!(statx_with(m.path("f"), ALL, flags).size, 5);
    }
}

fn of_the_end_of_an_automount(t: &Test) {
    let l = t.layers();
    l.lower(0).dir("d");
    let m = l.mount();
    let seen = statx_with(m.path("d"), ALL, libc::AT_NO_AUTOMOUNT);
    assert_eq!(seen.ino, statx(m.path("d")).ino);
}

fn fields_over_a_copy_up(t: &Test) {
    let l = t.layers();
    l.lower(0).file("f", "x").dir("d");
    let m = l.mount();
    for name in ["f", "d"] {
        let before = statx(m.path(name));
        chmod(m.path(name), 0o700);
        let after = statx(m.path(name));
        assert_eq!((before.ino, before.dev), (after.ino, after.dev), "{name}");
        assert_eq!(before.mount, after.mount, "{name}");
        assert_eq!(before.times[3], after.times[3], "{name}: modified");
        assert!(before.times[2] < after.times[2], "{name}: changed");
    }
}
