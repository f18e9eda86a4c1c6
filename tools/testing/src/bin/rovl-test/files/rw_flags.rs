// SPDX-License-Identifier: GPL-2.0
//! Flags of a single read or write (`preadv2`, `pwritev2`), and flags of an open file that change.

use std::io::{IoSlice, IoSliceMut};
use std::os::fd::{AsRawFd, OwnedFd};

use rovl_testing::caller::{as_user, ALICE};
use rovl_testing::ops::{open, open_read, open_write, read, stat, utimes, write, write_at};
use rovl_testing::raw::{descriptor, result, text};
use rovl_testing::{cases, errno, ok, Test};
use rustix::fs::{fcntl_getfl, fcntl_setfl, OFlags};
use rustix::io::{preadv2, pwritev2, Errno, ReadWriteFlags};

cases! {
    not_waiting_is_not_offered,
    append_for_one_write,
    appending_files_always_append,
    synced_writes,
    polled_and_uncached,
    atomic_writes_are_not_offered,
    unknown_flags,
    append_switched_on_and_off,
    append_switched_on_before_copy_up,
    flags_reach_the_file_opened_at_copy_up,
    synced_files,
    not_updating_the_access_time,
    not_updating_the_access_time_of_a_foreign_file,
    mode_by_path_descriptor,
    mode_of_a_symbolic_link,
    descriptor_of_a_path_opened_again,
}

/// `RWF_ATOMIC`, `RWF_DONTCACHE`, `RWF_NOAPPEND`
const ATOMIC: u32 = 0x40;
const DONTCACHE: u32 = 0x80;
const NOAPPEND: u32 = 0x20;
const HIPRI: u32 = 0x1;

fn put(file: &OwnedFd, data: &[u8], offset: u64, flags: ReadWriteFlags) -> Result<usize, Errno> {
    pwritev2(file, &[IoSlice::new(data)], offset, flags)
}

fn get(file: &OwnedFd, offset: u64, flags: ReadWriteFlags) -> Result<Vec<u8>, Errno> {
    let mut data = vec![0u8; 64];
    let n = preadv2(file, &mut [IoSliceMut::new(&mut data)], offset, flags)?;
    data.truncate(n);
    Ok(data)
}

fn flag(bits: u32) -> ReadWriteFlags {
    ReadWriteFlags::from_bits_retain(bits)
}

fn not_waiting_is_not_offered(t: &Test) {
    let l = t.layers();
    l.lower(0).file("f", "0123456789");
    let m = l.mount();
    let file = open_write(m.path("f"));
    read(m.path("f"));
    let seen = get(&file, 0, ReadWriteFlags::NOWAIT);
    assert_eq!(errno(seen), Errno::OPNOTSUPP);
    let written = put(&file, b"x", 0, ReadWriteFlags::NOWAIT);
    assert_eq!(errno(written), Errno::OPNOTSUPP);
}

fn append_for_one_write(t: &Test) {
    let l = t.layers();
    l.lower(0).file("f", "start");
    let m = l.mount();
    let file = open_write(m.path("f"));
    assert_eq!(ok(put(&file, b" end", 0, ReadWriteFlags::APPEND)), 4);
    assert_eq!(ok(put(&file, b"S", 0, ReadWriteFlags::empty())), 1);
    assert_eq!(read(m.path("f")), b"Start end");
}

fn appending_files_always_append(t: &Test) {
    let l = t.layers();
    l.lower(0).file("f", "start");
    let m = l.mount();
    let file = open(m.path("f"), OFlags::WRONLY | OFlags::APPEND);
    // The flag does not reach the file of the layer.
    assert_eq!(ok(put(&file, b"S", 0, flag(NOAPPEND))), 1);
    assert_eq!(ok(put(&file, b" end", 0, ReadWriteFlags::empty())), 4);
    assert_eq!(read(l.upper().path("f")), b"startS end");
}

fn synced_writes(t: &Test) {
    let l = t.layers();
    l.lower(0).file("f", "start");
    let m = l.mount();
    let file = open_write(m.path("f"));
    for flags in [
        ReadWriteFlags::DSYNC,
        ReadWriteFlags::SYNC,
        ReadWriteFlags::DSYNC | ReadWriteFlags::APPEND,
    ] {
        assert_eq!(ok(put(&file, b"s", 0, flags)), 1, "{flags:?}");
    }
    assert_eq!(read(m.path("f")), b"starts");
}

fn polled_and_uncached(t: &Test) {
    let l = t.layers();
    l.lower(0).file("f", "data");
    let m = l.mount();
    let file = open_write(m.path("f"));
    // The first one is advice for direct I/O.
    assert_eq!(ok(get(&file, 0, flag(HIPRI))), b"data");
    assert_eq!(errno(get(&file, 0, flag(DONTCACHE))), Errno::OPNOTSUPP);
    let written = put(&file, b"x", 0, flag(DONTCACHE));
    assert_eq!(errno(written), Errno::OPNOTSUPP);
}

fn atomic_writes_are_not_offered(t: &Test) {
    let l = t.layers();
    l.lower(0).file("f", "data");
    let m = l.mount();
    let file = open_write(m.path("f"));
    let written = put(&file, b"DATA", 0, flag(ATOMIC));
    assert_eq!(errno(written), Errno::OPNOTSUPP);
    assert_eq!(read(m.path("f")), b"data");
}

fn unknown_flags(t: &Test) {
    let l = t.layers();
    l.lower(0).file("f", "data");
    let m = l.mount();
    let file = open_write(m.path("f"));
    assert_eq!(errno(get(&file, 0, flag(1 << 30))), Errno::OPNOTSUPP);
    let both = flag(NOAPPEND) | ReadWriteFlags::APPEND;
    assert_eq!(errno(put(&file, b"x", 0, both)), Errno::INVAL);
}

fn append_switched_on_and_off(t: &Test) {
    let l = t.layers();
    l.lower(0).file("f", "start");
    let m = l.mount();
    let file = open_write(m.path("f"));
    ok(fcntl_setfl(&file, OFlags::APPEND));
    ok(rustix::io::write(&file, b" one"));
    assert_eq!(read(m.path("f")), b"start one");
    ok(fcntl_setfl(&file, OFlags::empty()));
    write_at(&file, b"S", 0);
    assert_eq!(read(m.path("f")), b"Start one");
    assert!(!ok(fcntl_getfl(&file)).contains(OFlags::APPEND));
}

fn append_switched_on_before_copy_up(t: &Test) {
    let l = t.layers();
    l.lower(0).file("f", "start");
    let m = l.mount();
    let file = open_read(m.path("f"));
    ok(fcntl_setfl(&file, OFlags::APPEND | OFlags::NONBLOCK));
    write(m.path("f"), "other");
    assert_eq!(ok(get(&file, 0, ReadWriteFlags::empty())), b"other");
    let flags = ok(fcntl_getfl(&file));
    assert!(flags.contains(OFlags::APPEND | OFlags::NONBLOCK));
}

fn flags_reach_the_file_opened_at_copy_up(t: &Test) {
    let l = t.layers();
    l.lower(0).file("f", vec![b'x'; 8192]);
    let m = l.mount();
    let file = open_read(m.path("f"));
    write_at(open_write(m.path("f")), b"y", 0);
    // Whether direct I/O is possible is known from the layer; the overlay's file offers it always.
    let direct = fcntl_setfl(&file, OFlags::DIRECT);
    let below = fcntl_setfl(open_read(l.upper().path("f")), OFlags::DIRECT);
    assert_eq!(direct.is_ok(), below.is_ok());
    ok(fcntl_setfl(&file, OFlags::empty()));
    assert_eq!(ok(get(&file, 0, ReadWriteFlags::empty()))[..2], *b"yx");
}

fn synced_files(t: &Test) {
    let l = t.layers();
    l.lower(0).file("f", "start");
    let m = l.mount();
    for flags in [OFlags::SYNC, OFlags::DSYNC] {
        let file = open(m.path("f"), OFlags::RDWR | flags);
        write_at(&file, b"s", 0);
        assert!(ok(fcntl_getfl(&file)).contains(flags));
    }
    assert_eq!(read(l.upper().path("f")), b"start");
}

fn not_updating_the_access_time(t: &Test) {
    let l = t.layers();
    l.upper().file("f", "x").dir("d");
    let m = l.mount();
    let file = open_read(m.path("f"));
    ok(fcntl_setfl(&file, OFlags::NOATIME));
    utimes(m.path("f"), 10, 20);
    ok(get(&file, 0, ReadWriteFlags::empty()));
    assert_eq!(stat(m.path("f")).st_atime, 10);
    ok(fcntl_setfl(&file, OFlags::empty()));
    ok(get(&file, 0, ReadWriteFlags::empty()));
    assert!(stat(m.path("f")).st_atime > 1_000_000);
    assert!(stat(l.upper().path("f")).st_atime > 1_000_000);
}

fn not_updating_the_access_time_of_a_foreign_file(t: &Test) {
    let l = t.layers();
    l.lower(0).file("f", "x");
    let m = l.mount();
    let path = m.path("f");
    as_user(ALICE, || {
        let flags = OFlags::RDONLY | OFlags::NOATIME;
        assert_eq!(errno(rustix::fs::open(&path, flags, 0.into())), Errno::PERM);
        let file = open_read(&path);
        assert_eq!(errno(fcntl_setfl(&file, OFlags::NOATIME)), Errno::PERM);
    });
}

/// `fchmodat2(2)`
fn chmod_at(dir: i32, path: &str, bits: u32, flags: i32) -> Result<(), Errno> {
    const SYS_FCHMODAT2: i64 = 452;
    let path = text(path);
    // SAFETY: the path is a C string.
    let returned = unsafe { libc::syscall(SYS_FCHMODAT2, dir, path.as_ptr(), bits, flags) };
    result(returned).map(|_| ())
}

fn mode_by_path_descriptor(t: &Test) {
    let l = t.layers();
    l.lower(0).file("f", "x").dir("d");
    let m = l.mount();
    for name in ["f", "d"] {
        let path = open(m.path(name), OFlags::PATH);
        assert_eq!(
            errno(rustix::fs::fchmod(&path, 0o700.into())),
            Errno::BADF,
            "{name}"
        );
        ok(chmod_at(path.as_raw_fd(), "", 0o710, libc::AT_EMPTY_PATH));
        assert_eq!(stat(m.path(name)).st_mode & 0o7777, 0o710, "{name}");
        assert_eq!(stat(l.upper().path(name)).st_mode & 0o7777, 0o710, "{name}");
    }
}

fn mode_of_a_symbolic_link(t: &Test) {
    let l = t.layers();
    l.lower(0).file("f", "x").symlink("s", "f");
    let m = l.mount();
    let dir = open(m.root(), OFlags::PATH | OFlags::DIRECTORY);
    let itself = chmod_at(dir.as_raw_fd(), "s", 0o700, libc::AT_SYMLINK_NOFOLLOW);
    assert_eq!(errno(itself), Errno::OPNOTSUPP);
    l.assert_upper(&[]);
    ok(chmod_at(dir.as_raw_fd(), "s", 0o700, 0));
    l.assert_upper(&["f file 700 \"x\" origin"]);
}

fn descriptor_of_a_path_opened_again(t: &Test) {
    let l = t.layers();
    l.lower(0).file("f", "x");
    let m = l.mount();
    let path = open(m.path("f"), OFlags::PATH);
    write(m.path("f"), "y");
    let again = text(format!("/proc/self/fd/{}", path.as_raw_fd()));
    // SAFETY: the path is a C string.
    let file = descriptor(i64::from(unsafe {
        libc::open(again.as_ptr(), libc::O_RDWR | libc::O_CLOEXEC)
    }));
    let file = ok(file);
    write_at(&file, b"z", 0);
    assert_eq!(read(l.upper().path("f")), b"z");
}
