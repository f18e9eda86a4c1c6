// SPDX-License-Identifier: GPL-2.0
//! Sync: what syncfs(2), unmount and a remount to read-only leave on the disk, looked at on a copy of the
//! disk of that moment; and what they tell of errors.

use std::path::Path;

use rovl_testing::block::{make_filesystem, mount_device, Loop, Mapped};
use rovl_testing::mount::reconfigure;
use rovl_testing::ops::{open, open_read, open_write, pattern, rename, unlink, write, write_at};
use rovl_testing::raw::ioctl;
use rovl_testing::tree::Snapshot;
use rovl_testing::{cases, errno, ok, Test};
use rustix::fs::{statfs, syncfs, OFlags};
use rustix::io::Errno;

use crate::errors::failing_blocks::SHUTDOWN;
use crate::files::mmap::Map;

use super::sync_disk::{change_all, drop_caches, lowers, Disk};

cases! {
    all_is_durable_after_syncfs_on_ext4,
    all_is_durable_after_syncfs_on_xfs,
    all_is_durable_after_syncfs_on_btrfs,
    all_is_durable_after_unmount_on_ext4,
    all_is_durable_after_unmount_on_xfs,
    all_is_durable_after_unmount_on_btrfs,
    all_is_durable_after_remount_on_ext4,
    all_is_durable_after_remount_on_xfs,
    all_is_durable_after_remount_on_btrfs,
    files_stay_listed_while_they_are_written,
    space_of_a_removed_file_is_free,
    many_files,
    write_errors_reach_each_descriptor,
    upper_that_is_shut_down_on_ext4,
    upper_that_is_shut_down_on_xfs,
}

const FIBMAP: u64 = 1;

/// How a sync is asked for.
#[derive(Clone, Copy, PartialEq)]
enum Sync {
    Syncfs,
    Unmount,
    Remount,
}

fn all_is_durable(t: &Test, kind: &'static str, how: Sync) {
    let disk = match kind {
        // What is compressed is written by a thread of its own.
        "btrfs" => Disk::with_options(t, kind, &[], "compress-force=zstd"),
        _ => Disk::new(t, kind),
    };
    let l = disk.layers();
    lowers(&l);
    let m = l.mount();
    write(disk.root().join("foreign"), pattern(1 << 20, 99));
    let kept = change_all(&m);
    match how {
        Sync::Syncfs => {
            ok(syncfs(open_read(m.root())));
            let upper = l.upper();
            let expected = Snapshot::of(upper.root());
            disk.after_a_cut(upper.root()).assert_same(&expected);
            // What is open is written again, through the descriptor and through a mapping.
            let map = Map::shared(&kept[0], 15_000);
            map.store(9_000, b"again");
            ok(syncfs(open_read(m.root())));
            disk.after_a_cut(upper.root())
                .assert_same(&Snapshot::of(upper.root()));
            map.store(4, b"and again");
            drop((map, kept));
            ok(syncfs(open_read(m.root())));
            disk.after_a_cut(upper.root())
                .assert_same(&Snapshot::of(upper.root()));
            m.unmount();
        }
        Sync::Unmount => {
            drop(kept);
            m.unmount();
            let upper = l.upper();
            // The end of the mount removes the whiteout that others are links of; the next mount does, too.
            let named = |path: &Path| path != Path::new("gone");
            let expected = Snapshot::of(upper.root()).filtered(named);
            let seen = disk.after_a_cut(upper.root());
            assert!(seen.paths().any(|path| !named(path)));
            seen.filtered(named).assert_same(&expected);
        }
        Sync::Remount => {
            drop(kept);
            ok(reconfigure(m.root(), &["ro"], &[]).map_err(|refused| refused.describe()));
            let upper = l.upper();
            let expected = Snapshot::of(upper.root());
            disk.after_a_cut(upper.root()).assert_same(&expected);
            m.unmount();
        }
    }
}

fn all_is_durable_after_syncfs_on_ext4(t: &Test) {
    all_is_durable(t, "ext4", Sync::Syncfs);
}

fn all_is_durable_after_syncfs_on_xfs(t: &Test) {
    all_is_durable(t, "xfs", Sync::Syncfs);
}

fn all_is_durable_after_syncfs_on_btrfs(t: &Test) {
    all_is_durable(t, "btrfs", Sync::Syncfs);
}

fn all_is_durable_after_unmount_on_ext4(t: &Test) {
    all_is_durable(t, "ext4", Sync::Unmount);
}

fn all_is_durable_after_unmount_on_xfs(t: &Test) {
    all_is_durable(t, "xfs", Sync::Unmount);
}

fn all_is_durable_after_unmount_on_btrfs(t: &Test) {
    all_is_durable(t, "btrfs", Sync::Unmount);
}

fn all_is_durable_after_remount_on_ext4(t: &Test) {
    all_is_durable(t, "ext4", Sync::Remount);
}

fn all_is_durable_after_remount_on_xfs(t: &Test) {
    all_is_durable(t, "xfs", Sync::Remount);
}

fn all_is_durable_after_remount_on_btrfs(t: &Test) {
    all_is_durable(t, "btrfs", Sync::Remount);
}

fn files_stay_listed_while_they_are_written(t: &Test) {
    let disk = Disk::new(t, "ext4");
    let l = disk.layers();
    l.lower(0);
    let m = l.mount();
    let root = open_read(m.root());
    let file = open(m.path("f"), OFlags::CREATE | OFlags::RDWR);
    let upper = l.upper();
    for round in 0..4u8 {
        write_at(&file, &[round; 5_000], u64::from(round) * 5_000);
        ok(syncfs(&root));
        disk.after_a_cut(upper.root())
            .assert_same(&Snapshot::of(upper.root()));
    }
    let map = Map::shared(&file, 20_000);
    drop(file);
    for round in 0..3u8 {
        map.store(usize::from(round) * 4_000, b"mapped");
        ok(syncfs(&root));
        disk.after_a_cut(upper.root())
            .assert_same(&Snapshot::of(upper.root()));
    }
    drop((map, root));
    m.unmount();
}

fn space_of_a_removed_file_is_free(t: &Test) {
    let disk = Disk::new(t, "ext4");
    let l = disk.layers();
    l.lower(0).file("low", pattern(2 << 20, 1));
    let m = l.mount();
    let free = || ok(statfs(disk.root())).f_bfree;
    let begin = free();
    let check = |what: &str| {
        let lost = begin.saturating_sub(free());
        assert!(lost < 64, "{lost} blocks are still in use: {what}");
    };
    write(m.path("f"), pattern(4 << 20, 2));
    assert!(begin - free() >= 1024);
    unlink(m.path("f"));
    check("unlink");
    write(m.path("f"), pattern(4 << 20, 2));
    drop_caches();
    unlink(m.path("f"));
    check("unlink of a file whose inode was evicted");
    write(m.path("f"), pattern(4 << 20, 2));
    write(m.path("g"), "x");
    rename(m.path("g"), m.path("f"));
    check("rename");
    drop(open_write(m.path("low")));
    write_at(open_write(m.path("low")), &pattern(2 << 20, 3), 0);
    unlink(m.path("low"));
    check("unlink of a copy");
    let unnamed = open(m.root(), OFlags::TMPFILE | OFlags::RDWR);
    write_at(&unnamed, &pattern(4 << 20, 2), 0);
    drop(unnamed);
    check("a file without a name");
    m.unmount();
}

fn many_files(t: &Test) {
    // More than are listed without a look at whether they need be.
    let disk = Disk::new(t, "ext4");
    let l = disk.layers();
    l.lower(0);
    let m = l.mount();
    for n in 0..t.scaled(1_250) {
        write(m.path(format!("f{n}")), format!("{n}"));
        if n % 250 == 249 {
            // Clean, by whoever it was.
            rustix::fs::sync();
        }
    }
    ok(syncfs(open_read(m.root())));
    let upper = l.upper();
    disk.after_a_cut(upper.root())
        .assert_same(&Snapshot::of(upper.root()));
    m.unmount();
}

fn write_errors_reach_each_descriptor(t: &Test) {
    let dir = t.dir_on("tmpfs");
    let image = dir.join("image");
    write(&image, b"");
    ok(rustix::fs::ftruncate(open_write(&image), 64 << 20));
    let device = Loop::attach(&image);
    let mapped = Mapped::linear(&format!("rovl-sync-{}", std::process::id()), device.path());
    make_filesystem("ext4", &["-q", "-b", "4096"], &mapped.path());
    let place = dir.join("fs");
    // The part of the device that fails would fail at each flush, too.
    let options = "errors=continue,nobarrier";
    let mounted = mount_device("ext4", &mapped.path(), &place, options);
    let l = t.layers_in(&place).lowers_in(&dir);
    l.lower(0);
    let m = l.mount();
    write(m.path("f"), pattern(4096, 1));
    ok(syncfs(open_read(m.root())));
    // Its one block has a place now.
    let mut block: i32 = 0;
    // SAFETY: The argument is a number, which is replaced.
    ok(unsafe { ioctl(open_read(l.upper().path("f")), FIBMAP, &mut block) });
    assert!(block > 0);
    mapped.fail_at(ok(u64::try_from(block)) * 4096, 4096, false);
    let (first, second) = (open_read(m.root()), open_read(m.path("f")));
    let file = open_write(m.path("f"));
    write_at(&file, b"lost", 0);
    let told = [
        syncfs(&first),
        syncfs(&first),
        syncfs(&second),
        syncfs(&second),
    ];
    if t.is_rovl() {
        assert_eq!(told, [Err(Errno::IO), Ok(()), Err(Errno::IO), Ok(())]);
    } else {
        // Only who asks the upper file system itself is told.
        assert_eq!(told, [Ok(()); 4]);
    }
    // Who has the file open is told, as ever.
    assert_eq!(errno(rustix::fs::fsync(&file)), Errno::IO);
    ok(syncfs(open_read(m.root())));
    mapped.work();
    write_at(&file, b"kept", 0);
    for descriptor in [&first, &second] {
        ok(syncfs(descriptor));
    }
    drop((first, second, file));
    m.unmount();
    mounted.unmount();
    drop((mapped, device));
}

/// An overlay that has changed nothing still tells that its upper file system does not work any more.
fn upper_that_is_shut_down(t: &Test, kind: &'static str) {
    let disk = Disk::new(t, kind);
    let l = disk.layers();
    lowers(&l);
    let m = l.mount();
    let opened = open_read(m.root());
    ok(syncfs(&opened));
    let mut logged: u32 = 1;
    // SAFETY: The argument is a number, which is read.
    ok(unsafe { ioctl(open_read(disk.root()), SHUTDOWN, &mut logged) });
    for _ in 0..2 {
        assert_eq!(errno(syncfs(&opened)), Errno::IO);
    }
    drop(opened);
    m.unchecked().unmount();
}

fn upper_that_is_shut_down_on_ext4(t: &Test) {
    upper_that_is_shut_down(t, "ext4");
}

fn upper_that_is_shut_down_on_xfs(t: &Test) {
    upper_that_is_shut_down(t, "xfs");
}
