// SPDX-License-Identifier: GPL-2.0
//! What is in use while the mount goes back to a checkpoint.

use std::os::fd::AsRawFd;

use rovl_testing::mount::is_mount_point;
use rovl_testing::ops::{
    errno, exists, mkdir, names, open, open_read, open_write, read, read_fd, set, stat, unlink,
    write, write_at,
};
use rovl_testing::stack::{rollback, Live};
use rovl_testing::{cases, ok, Test};
use rustix::fs::{OFlags, XattrFlags};
use rustix::io::Errno;

use super::ours;
use super::rollback::{drop_caches, CACHES};
use super::unchanged::{has_event, inotify};

cases! {
    the_same_objects,
    what_is_gone,
    what_is_gone_cannot_be_mapped,
    directories_that_are_gone,
    working_directories,
    watches,
    mounts_below,
}

#[track_caller]
fn refuses_writes(fd: &std::os::fd::OwnedFd) {
    assert_eq!(errno(rustix::io::pwrite(fd, b"x", 0)), Errno::STALE);
    assert_eq!(errno(rustix::fs::ftruncate(fd, 0)), Errno::STALE);
    assert_eq!(errno(rustix::fs::fchmod(fd, 0o600.into())), Errno::STALE);
    let set = rustix::fs::fsetxattr(fd, "user.x", b"x", XattrFlags::empty());
    assert_eq!(errno(set), Errno::STALE);
    let again = format!("/proc/self/fd/{}", fd.as_raw_fd());
    let opened = rustix::fs::open(&again, OFlags::WRONLY, rustix::fs::Mode::empty());
    assert_eq!(errno(opened), Errno::STALE);
}

/// What has not been changed since the checkpoint: descriptors, numbers, the right to write.
fn the_same_objects(t: &Test) {
    let Some(l) = ours(t) else {
        return;
    };
    l.lower(0)
        .file("low", "low")
        .file("d/low", "low")
        .dir("d/e");
    let m = Live::mount(t, &l);
    write(m.path("up"), "up");
    write(m.path("d/up"), "up");
    let paths = ["low", "up", "d/low", "d/up", "d", "d/e"];
    let numbers = paths.map(|path| stat(m.path(path)).st_ino);
    let writing = open(m.path("d/up"), OFlags::RDWR);
    let reading = open_read(m.path("low"));
    m.checkpoint("a");
    write(m.path("d/new"), "new");
    write(m.path("d/e/new"), "new");
    m.rollback("a");
    assert_eq!(paths.map(|path| stat(m.path(path)).st_ino), numbers);
    write_at(&writing, b"it", 0);
    assert_eq!(read(m.path("d/up")), b"it");
    assert_eq!(read(l.upper().path("d/up")), b"up");
    write(m.path("low"), "changed");
    assert_eq!(read_fd(&reading), b"changed");
    assert_eq!(names(m.path("d")), set(&["e", "low", "up"]));
    assert!(names(m.path("d/e")).is_empty());
}

fn what_is_gone(t: &Test) {
    let Some(l) = ours(t) else {
        return;
    };
    l.lower(0).file("d/low", "low");
    let m = Live::mount(t, &l);
    write(m.path("up"), "up");
    let before = open(m.path("up"), OFlags::RDWR);
    m.checkpoint("a");
    write(m.path("new"), "new");
    write(m.path("d/new"), "dnew");
    write(m.path("d/low"), "copied");
    write(m.path("removed"), "removed");
    write_at(&before, b"it", 0);
    let held = ["new", "d/new", "d/low", "removed"].map(|path| open(m.path(path), OFlags::RDWR));
    unlink(m.path("removed"));
    m.rollback("a");
    for (fd, content) in held.iter().zip(["new", "dnew", "copied", "removed"]) {
        refuses_writes(fd);
        assert_eq!(read_fd(fd), content.as_bytes());
        let again = open_read(format!("/proc/self/fd/{}", fd.as_raw_fd()));
        assert_eq!(read_fd(&again), content.as_bytes());
    }
    refuses_writes(&before);
    assert_eq!(read_fd(&before), b"it");
    assert!(!exists(m.path("new")) && !exists(m.path("d/new")));
    assert_eq!(read(m.path("d/low")), b"low");
    assert_eq!(read(m.path("up")), b"up");
    write(m.path("up"), "other");
    write(m.path("new"), "another");
    assert_eq!(
        (read_fd(&before), read_fd(&held[0])),
        (b"it".to_vec(), b"new".to_vec())
    );
    refuses_writes(&before);
    // None of it gets a name again.
    let from = format!("/proc/self/fd/{}", held[3].as_raw_fd());
    let linked = rustix::fs::linkat(
        rustix::fs::CWD,
        from,
        rustix::fs::CWD,
        m.path("again"),
        rustix::fs::AtFlags::SYMLINK_FOLLOW,
    );
    assert!(linked.is_err());
}

fn what_is_gone_cannot_be_mapped(t: &Test) {
    use rustix::mm::{mmap, munmap, MapFlags, ProtFlags};
    let Some(l) = ours(t) else {
        return;
    };
    let m = Live::mount(t, &l);
    m.checkpoint("a");
    write(m.path("f"), "mapped");
    let fd = open(m.path("f"), OFlags::RDWR);
    let map = |flags: ProtFlags, kind: MapFlags| {
        // SAFETY: a new mapping anywhere.
        unsafe { mmap(std::ptr::null_mut(), 4096, flags, kind, &fd, 0) }
    };
    let both = ProtFlags::READ | ProtFlags::WRITE;
    let place = ok(map(both, MapFlags::SHARED));
    let (upper, work) = m.pair();
    let meant = m.stack()[1];
    let refused = rollback(m.root(), &upper, &work, &meant, 0);
    let (refused, told) = refused.expect_err("it is mapped");
    assert_eq!(refused, Errno::BUSY);
    assert_eq!(told.busy_ino, stat(l.root().join("pair1/upper/f")).st_ino);
    // Nothing has changed.
    write(m.path("g"), "g");
    assert!(exists(l.root().join("pair1/upper/g")));
    // SAFETY: mapped above.
    ok(unsafe { munmap(place, 4096) });
    ok(rollback(m.root(), &upper, &work, &meant, 0).map_err(|(errno, _)| errno));
    assert_eq!(errno(map(both, MapFlags::SHARED)), Errno::STALE);
    // It may be made writable as long as it is shared.
    assert_eq!(errno(map(ProtFlags::READ, MapFlags::SHARED)), Errno::STALE);
    let reading = open_read(format!("/proc/self/fd/{}", fd.as_raw_fd()));
    let shared = {
        let flags = MapFlags::SHARED;
        // SAFETY: a new mapping anywhere.
        ok(unsafe {
            mmap(
                std::ptr::null_mut(),
                4096,
                ProtFlags::READ,
                flags,
                &reading,
                0,
            )
        })
    };
    for place in [ok(map(both, MapFlags::PRIVATE)), shared] {
        // SAFETY: mapped just now, a page with the file in it.
        let first = unsafe { place.cast::<u8>().read_volatile() };
        assert_eq!(first, b'm');
        // SAFETY: the same.
        ok(unsafe { munmap(place, 4096) });
    }
}

fn directories_that_are_gone(t: &Test) {
    let Some(l) = ours(t) else {
        return;
    };
    l.lower(0).dir("d");
    let m = Live::mount(t, &l);
    m.checkpoint("a");
    mkdir(m.path("d/new"));
    write(m.path("d/new/f"), "f");
    write(m.path("d/new/g"), "g");
    let held = open_read(m.path("d/new"));
    let f = open_read(m.path("d/new/f"));
    m.rollback("a");
    assert!(!exists(m.path("d/new")));
    assert_eq!(read_fd(&f), b"f");
    // What is in it is listed, and cannot be reached.
    let mut buffer = Vec::with_capacity(4096);
    let mut entries = rustix::fs::RawDir::new(&held, buffer.spare_capacity_mut());
    let mut listed = Vec::new();
    while let Some(entry) = entries.next() {
        listed.push(ok(entry).file_name().to_string_lossy().into_owned());
    }
    listed.sort();
    assert_eq!(listed, [".", "..", "f", "g"]);
    // By `.` it is as gone as by its name.
    let opened = rustix::fs::openat(&held, ".", OFlags::RDONLY, 0.into());
    assert_eq!(errno(opened), Errno::STALE);
    for flags in [
        OFlags::RDONLY,
        OFlags::WRONLY,
        OFlags::CREATE | OFlags::WRONLY,
    ] {
        for name in ["f", "g", "h"] {
            let opened = rustix::fs::openat(&held, name, flags, 0o600.into());
            assert_eq!(errno(opened), Errno::STALE, "{name}");
        }
    }
    assert_eq!(
        errno(rustix::fs::mkdirat(&held, "x", 0o700.into())),
        Errno::STALE
    );
    mkdir(m.path("d/new"));
    assert!(names(m.path("d/new")).is_empty());
    assert_eq!(
        errno(rustix::fs::mkdirat(&held, "x", 0o700.into())),
        Errno::STALE
    );
}

fn working_directories(t: &Test) {
    let Some(l) = ours(t) else {
        return;
    };
    l.lower(0).file("d/e/f", "1").file("d/e/gone", "1");
    let m = Live::mount(t, &l);
    write(m.path("d/e/g"), "2");
    m.checkpoint("a");
    let home = ok(std::env::current_dir());
    ok(std::env::set_current_dir(m.path("d/e")));
    for cached in CACHES {
        write("f", "changed");
        write("new", "new");
        unlink("gone");
        let dir = open_read(".");
        assert_eq!(names("."), set(&["f", "g", "new"]));
        assert!(!exists("gone") && exists("new"));
        drop_caches(cached);
        m.rollback("a");
        assert_eq!(read("f"), b"1");
        assert!(exists("gone") && !exists("new"));
        assert_eq!(names("."), set(&["f", "g", "gone"]));
        assert_eq!(
            names(format!("/proc/self/fd/{}", dir.as_raw_fd())),
            set(&["f", "g", "gone"])
        );
        assert_eq!(ok(std::env::current_dir()), m.path("d/e"));
        write("h", "here");
        assert_eq!(read(m.path("d/e/h")), b"here");
        unlink("h");
    }
    ok(std::env::set_current_dir(home));
}

fn watches(t: &Test) {
    let Some(l) = ours(t) else {
        return;
    };
    l.lower(0).file("d/f", "1").file("d/e/x", "");
    let m = Live::mount(t, &l);
    write(m.path("d/g"), "2");
    m.checkpoint("a");
    write(m.path("d/new"), "");
    write(m.path("d/e/new"), "");
    let file = inotify(&m.path("d/f"), libc::IN_MODIFY);
    let up = inotify(&m.path("d/g"), libc::IN_MODIFY);
    let dirs = ["d", "d/e"].map(|dir| inotify(&m.path(dir), libc::IN_CREATE));
    m.rollback("a");
    assert!(!has_event(&file) && !has_event(&up));
    for path in ["d/f", "d/g"] {
        write_at(open_write(m.path(path)), b"3", 0);
    }
    write(m.path("d/more"), "");
    write(m.path("d/e/more"), "");
    assert!(has_event(&file) && has_event(&up));
    assert!(dirs.iter().all(has_event));
}

fn mounts_below(t: &Test) {
    let Some(l) = ours(t) else {
        return;
    };
    l.lower(0).dir("d/sub").file("d/f", "1");
    let m = Live::mount(t, &l);
    m.checkpoint("a");
    write(m.path("d/f"), "2");
    write(m.path("d/sub/x"), "");
    mkdir(m.path("made"));
    mkdir(m.path("made/sub"));
    write(m.path("made/other"), "");
    let inner = ["d/sub", "made/sub"].map(|dir| {
        let inner = rovl_testing::Request::new("tmpfs").mount(&m.path(dir));
        let inner = ok(inner.map_err(|r| r.describe()));
        write(inner.path("inside"), dir);
        inner
    });
    m.rollback("a");
    assert_eq!(read(m.path("d/f")), b"1");
    assert_eq!(read(m.path("d/sub/inside")), b"d/sub");
    // Its place is gone, and it is not.
    assert_eq!(read(m.path("made/sub/inside")), b"made/sub");
    assert!(is_mount_point(&m.path("made/sub")));
    assert!(!exists(m.path("d/sub/x")));
    let opened = rustix::fs::open(m.path("made/other"), OFlags::RDONLY, 0.into());
    assert!(opened.is_err());
    assert_eq!(names(m.root()), set(&["d"]));
    for inner in inner {
        inner.unmount();
    }
    assert!(!exists(m.path("made")));
    assert!(names(m.path("d/sub")).is_empty());
    mkdir(m.path("made"));
}
