// SPDX-License-Identifier: GPL-2.0
//! What only memfs has: its size.

use rovl_testing::caller::fork;
use rovl_testing::mount::{granted, mount_table, reconfigure};
use rovl_testing::ops::{
    mkdir, mknod, open_write, pattern, read, read_fd, stat, unlink, write, write_at,
};
use rovl_testing::{cases, errno, ok, Mounted, Request, Test};
use rustix::fs::{self, FileType};
use rustix::io::Errno;
use rustix::mm::MapFlags;

use crate::data::Map;

cases! {
    size_is_a_limit,
    room_comes_back,
    open_files_keep_room,
    holes_take_no_room,
    room_for_mappings,
    sizes_as_written,
    refused_sizes,
    numbers_of_statfs,
    mounts_are_apart,
    deep_trees,
    no_devices,
}

const PAGE: u64 = 4096;

/// A mount with room for so many pages.
fn sized(t: &Test, pages: u64) -> Mounted {
    let target = t.dir().join("mnt");
    mkdir(&target);
    let size = (pages * PAGE).to_string();
    granted(t, Request::new("memfs").set("size", size).mount(&target))
}

/// Free pages.
fn free(m: &Mounted) -> u64 {
    ok(fs::statvfs(m.root())).f_bavail
}

fn size_is_a_limit(t: &Test) {
    let m = sized(t, 16);
    let data = pattern(20 * PAGE as usize, 1);
    write(m.path("f"), &data[..10 * PAGE as usize]);
    assert_eq!(free(&m), 6);
    let file = open_write(m.path("f"));
    // As much is written as there is room for.
    let written = ok(rustix::io::pwrite(
        &file,
        &data[10 * PAGE as usize..],
        10 * PAGE,
    ));
    assert_eq!(written as u64, 6 * PAGE);
    assert_eq!(free(&m), 0);
    let more = rustix::io::pwrite(&file, b"x", 16 * PAGE);
    assert_eq!(errno(more), Errno::NOSPC);
    assert_eq!(stat(m.path("f")).st_size as u64, 16 * PAGE);
    assert_eq!(read_fd(&file), &data[..16 * PAGE as usize]);
    // What is there can be written, and names can be made.
    write_at(&file, b"over", 5 * PAGE);
    mkdir(m.path("d"));
    write(m.path("empty"), "");
}

fn room_comes_back(t: &Test) {
    let m = sized(t, 8);
    write(m.path("f"), pattern(8 * PAGE as usize, 2));
    assert_eq!(free(&m), 0);
    let file = open_write(m.path("f"));
    ok(fs::ftruncate(&file, 3 * PAGE + 1));
    assert_eq!(free(&m), 4);
    ok(fs::ftruncate(&file, 100 * PAGE));
    assert_eq!(free(&m), 4);
    drop(file);
    write(m.path("f"), "short");
    assert_eq!(free(&m), 7);
    unlink(m.path("f"));
    assert_eq!(free(&m), 8);
}

fn open_files_keep_room(t: &Test) {
    let m = sized(t, 8);
    write(m.path("f"), pattern(8 * PAGE as usize, 3));
    let file = open_write(m.path("f"));
    unlink(m.path("f"));
    assert_eq!(free(&m), 0);
    assert_eq!(read_fd(&file).len() as u64, 8 * PAGE);
    drop(file);
    assert_eq!(free(&m), 8);
}

fn holes_take_no_room(t: &Test) {
    let m = sized(t, 4);
    write(m.path("f"), "x");
    let file = open_write(m.path("f"));
    ok(fs::ftruncate(&file, 1000 * PAGE));
    assert_eq!(read(m.path("f")).len() as u64, 1000 * PAGE);
    let map = ok(Map::new(&file, 1000 * PAGE as usize, MapFlags::SHARED));
    assert_eq!(map.get(500 * PAGE as usize), 0);
    assert_eq!(free(&m), 3);
    // A page that has been read as a hole gets room when it is written.
    write_at(&file, b"y", 500 * PAGE);
    assert_eq!(free(&m), 2);
    assert_eq!(map.get(500 * PAGE as usize), b'y');
}

fn room_for_mappings(t: &Test) {
    let m = sized(t, 2);
    write(m.path("f"), "");
    let file = open_write(m.path("f"));
    ok(fs::ftruncate(&file, 4 * PAGE));
    let map = ok(Map::new(&file, 4 * PAGE as usize, MapFlags::SHARED));
    map.set(0, 1);
    map.set(PAGE as usize, 2);
    assert_eq!(free(&m), 0);
    map.set(1, 3);
    // The third page has no room, which is told by a signal.
    let child = fork(|| {
        map.set(2 * PAGE as usize, 4);
        0
    });
    let status = child.wait();
    assert_eq!(status.terminating_signal(), Some(libc::SIGBUS));
    assert_eq!(map.get(2 * PAGE as usize), 0);
    ok(fs::ftruncate(&file, PAGE));
    assert_eq!(free(&m), 1);
    ok(fs::ftruncate(&file, 4 * PAGE));
    map.set(3 * PAGE as usize, 5);
    assert_eq!(free(&m), 0);
    drop((map, file));
    unlink(m.path("f"));
    assert_eq!(free(&m), 2);
}

fn sizes_as_written(t: &Test) {
    let target = t.dir().join("mnt");
    mkdir(&target);
    for (given, kib) in [
        ("4096", Some(4)),
        ("4097", Some(8)),
        ("12k", Some(12)),
        ("3M", Some(3 << 10)),
        ("1g", Some(1 << 20)),
        ("0", None),
    ] {
        let m = granted(t, Request::new("memfs").set("size", given).mount(&target));
        let table = mount_table();
        let line = table.iter().find(|line| line.target == target);
        let shown = line.map(|line| line.super_options.clone());
        let size = kib.map_or_else(String::new, |kib: u64| format!(",size={kib}k"));
        assert_eq!(shown, Some(format!("rw{size}")), "size={given}");
        let blocks = ok(fs::statvfs(m.root())).f_blocks;
        assert_eq!(blocks, kib.unwrap_or(0) / 4, "size={given}");
        m.unmount();
    }
}

fn refused_sizes(t: &Test) {
    let target = t.dir().join("mnt");
    mkdir(&target);
    for (given, error) in [
        ("", Errno::INVAL),
        ("k", Errno::INVAL),
        ("-1", Errno::INVAL),
        ("1kk", Errno::INVAL),
        ("50%", Errno::INVAL),
        ("99999999999999999999", Errno::RANGE),
        ("18446744073709551615k", Errno::RANGE),
    ] {
        let refused = Request::new("memfs").set("size", given).mount(&target);
        let refused = refused.expect_err(given);
        assert_eq!(refused.errno, error, "size={given}");
    }
    let m = granted(t, Request::new("memfs").mount(&target));
    let refused = reconfigure(&target, &[], &[("size", "1m")]);
    let refused = refused.expect_err("a mount got another size");
    assert!(refused.describe().contains("keeps its size"), "{refused:?}");
    m.unmount();
    // mount(8) repeats the one that it has.
    let m = granted(t, Request::new("memfs").set("size", "1m").mount(&target));
    let same = reconfigure(&target, &["ro"], &[("size", "1024k")]);
    ok(same.map_err(|refused| refused.describe()));
    m.unmount();
}

fn numbers_of_statfs(t: &Test) {
    let m = sized(t, 100);
    let seen = ok(fs::statfs(m.root()));
    assert_eq!(seen.f_type as u64, 0x6d65_6d66);
    assert_eq!(
        (seen.f_bsize as u64, seen.f_blocks, seen.f_bfree),
        (PAGE, 100, 100)
    );
    write(m.path("f"), "x");
    assert_eq!(ok(fs::statfs(m.root())).f_bfree, 99);
    assert_eq!(stat(m.path("f")).st_blocks as u64, PAGE / 512);
}

fn mounts_are_apart(t: &Test) {
    let m = sized(t, 4);
    let target = t.dir().join("other");
    mkdir(&target);
    let other = granted(t, Request::new("memfs").mount(&target));
    write(other.path("f"), pattern(100 * PAGE as usize, 4));
    assert_eq!(free(&m), 4);
    assert!(!rovl_testing::ops::exists(m.path("f")));
    let linked = fs::link(other.path("f"), m.path("f"));
    assert_eq!(errno(linked), Errno::XDEV);
    other.unmount();
}

/// Unmounting takes a tree apart without needing stack for its depth.
fn deep_trees(t: &Test) {
    let m = sized(t, 4);
    let mut dir = rovl_testing::dirent::open(m.root());
    for _ in 0..2000 {
        ok(fs::mkdirat(&dir, "d", rovl_testing::ops::mode(0o755)));
        dir = ok(fs::openat(
            &dir,
            "d",
            fs::OFlags::DIRECTORY | fs::OFlags::RDONLY,
            rovl_testing::ops::mode(0),
        ));
    }
    drop(dir);
    m.unmount();
}

fn no_devices(t: &Test) {
    let m = sized(t, 4);
    let made = mknod(m.path("fifo"), FileType::Fifo, 0o600, 0);
    assert_eq!(errno(made), Errno::PERM);
}
