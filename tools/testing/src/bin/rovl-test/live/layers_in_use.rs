// SPDX-License-Identifier: GPL-2.0
//! What is in use while layers come below the upper one and go.

use std::os::fd::AsRawFd;

use rovl_testing::mount::is_mount_point;
use rovl_testing::ops::{
    errno, exists, link, names, open, open_read, open_write, read, read_fd, set, stat, write,
    write_at,
};
use rovl_testing::stack::Live;
use rovl_testing::{cases, ok, Test};
use rustix::fs::OFlags;
use rustix::io::Errno;

use super::ours;
use super::push_and_drop::{drop_caches, layer, CACHES};
use super::unchanged::{has_event, inotify};

cases! {
    the_same_objects,
    what_is_hidden,
    what_is_gone,
    directories_become_files,
    working_directories,
    watches,
    mounts_below,
    hard_links,
}

fn the_same_objects(t: &Test) {
    let Some(l) = ours(t) else {
        return;
    };
    l.lower(0)
        .file("low", "low")
        .file("d/low", "low")
        .dir("d/e");
    let m = Live::mount(t, &l);
    write(m.path("d/up"), "up");
    let paths = ["low", "d/low", "d/up", "d", "d/e"];
    let numbers = paths.map(|path| stat(m.path(path)).st_ino);
    let reading = open_read(m.path("d/low"));
    let writing = open(m.path("d/up"), OFlags::RDWR);
    let new = layer(&l, "new");
    new.file("d/e/x", "").file("other", "");
    for _ in 0..2 {
        m.push(new.root(), "p");
        assert_eq!(paths.map(|path| stat(m.path(path)).st_ino), numbers);
        write_at(&writing, b"it", 0);
        m.drop_at(1);
        assert_eq!(paths.map(|path| stat(m.path(path)).st_ino), numbers);
        assert_eq!(read(m.path("d/up")), b"it");
        write_at(&writing, b"up", 0);
    }
    write(m.path("d/low"), "changed");
    assert_eq!(read_fd(&reading), b"changed");
    assert_eq!(stat(m.path("d/low")).st_ino, numbers[1]);
}

/// A file that another one hides is gone as long as that is there.
fn what_is_hidden(t: &Test) {
    let Some(l) = ours(t) else {
        return;
    };
    l.lower(0).file("d/f", "low");
    let m = Live::mount(t, &l);
    write(m.path("d/g"), "check");
    let writing = open(m.path("d/g"), OFlags::RDWR);
    m.checkpoint("a");
    let held = open_read(m.path("d/f"));
    let new = layer(&l, "new");
    new.file("d/f", "new").file("d/g", "new");
    // Before the names are looked at, and after.
    for look in [false, true] {
        m.push(new.root(), "p");
        if look {
            assert_eq!(
                (read(m.path("d/f")), read(m.path("d/g"))),
                (b"new".to_vec(), b"new".to_vec())
            );
        }
        assert_eq!(errno(rustix::io::pwrite(&writing, b"x", 0)), Errno::STALE);
        assert_eq!(
            (read_fd(&held), read_fd(&writing)),
            (b"low".to_vec(), b"check".to_vec())
        );
        assert_eq!(
            (read(m.path("d/f")), read(m.path("d/g"))),
            (b"new".to_vec(), b"new".to_vec())
        );
        m.drop_at(1);
        assert_eq!(
            (read(m.path("d/f")), read(m.path("d/g"))),
            (b"low".to_vec(), b"check".to_vec())
        );
        if !look {
            // Nothing has been decided yet.
            continue;
        }
        assert_eq!(errno(rustix::io::pwrite(&writing, b"x", 0)), Errno::STALE);
    }
    write(m.path("d/g"), "again");
    assert_eq!(read(m.path("d/g")), b"again");
}

fn what_is_gone(t: &Test) {
    let Some(l) = ours(t) else {
        return;
    };
    l.lower(0).file("d/f", "low");
    let m = Live::mount(t, &l);
    let new = layer(&l, "new");
    new.file("d/f", "new")
        .file("d/g", "g")
        .file("made/in", "in");
    m.push(new.root(), "p");
    let held = ["d/f", "d/g", "made/in"].map(|path| open_read(m.path(path)));
    let copied = open(m.path("d/g"), OFlags::RDWR);
    write_at(&copied, b"G", 0);
    let dir = open_read(m.path("made"));
    m.drop_at(1);
    for (fd, content) in held.iter().zip(["new", "G", "in"]) {
        assert_eq!(read_fd(fd), content.as_bytes());
    }
    // What was copied up is in the upper layer.
    write_at(&copied, b"H", 0);
    assert_eq!(read(m.path("d/g")), b"H");
    for fd in [&held[0], &held[2]] {
        let again = format!("/proc/self/fd/{}", fd.as_raw_fd());
        let opened = rustix::fs::open(&again, OFlags::WRONLY, 0.into());
        assert_eq!(errno(opened), Errno::STALE);
        assert_eq!(errno(rustix::fs::fchmod(fd, 0o600.into())), Errno::STALE);
    }
    assert!(!exists(m.path("made")));
    let opened = rustix::fs::openat(&dir, "in", OFlags::RDONLY, 0.into());
    assert_eq!(errno(opened), Errno::STALE);
    assert_eq!(read(m.path("d/f")), b"low");
}

fn directories_become_files(t: &Test) {
    let Some(l) = ours(t) else {
        return;
    };
    l.lower(0).file("x/in", "in").file("y", "y");
    let m = Live::mount(t, &l);
    let (dir, file) = (open_read(m.path("x")), open_read(m.path("y")));
    let new = layer(&l, "new");
    new.file("x", "file").file("y/in", "dir");
    for cached in CACHES {
        assert_eq!(
            (read(m.path("x/in")), read(m.path("y"))),
            (b"in".to_vec(), b"y".to_vec())
        );
        m.push(new.root(), "p");
        drop_caches(cached);
        assert_eq!(
            (read(m.path("x")), read(m.path("y/in"))),
            (b"file".to_vec(), b"dir".to_vec())
        );
        assert_eq!(read_fd(&file), b"y");
        let opened = rustix::fs::openat(&dir, "in", OFlags::RDONLY, 0.into());
        assert_eq!(errno(opened), Errno::STALE);
        m.drop_at(1);
        drop_caches(cached);
    }
    assert_eq!(read(m.path("x/in")), b"in");
    // The one that was open is the directory again.
    let opened = ok(rustix::fs::openat(&dir, "in", OFlags::RDONLY, 0.into()));
    assert_eq!(read_fd(&opened), b"in");
}

fn working_directories(t: &Test) {
    let Some(l) = ours(t) else {
        return;
    };
    l.lower(0).file("d/e/f", "1").dir("gone");
    let m = Live::mount(t, &l);
    let new = layer(&l, "new");
    new.file("d/e/g", "2").file("d/e/f", "2").mode("d/e", 0o711);
    let home = ok(std::env::current_dir());
    ok(std::env::set_current_dir(m.path("d/e")));
    let dir = open_read(".");
    for cached in CACHES {
        assert_eq!(names("."), set(&["f"]));
        m.push(new.root(), "p");
        drop_caches(cached);
        assert_eq!(ok(rustix::fs::fstat(&dir)).st_mode & 0o7777, 0o711);
        assert_eq!(read("f"), b"2");
        assert_eq!(names("."), set(&["f", "g"]));
        assert_eq!(ok(std::env::current_dir()), m.path("d/e"));
        m.drop_at(1);
        drop_caches(cached);
        assert!(!exists("g"));
        assert_eq!(names("."), set(&["f"]));
        assert_eq!(read("../e/f"), b"1");
    }
    ok(std::env::set_current_dir(home));
}

fn watches(t: &Test) {
    let Some(l) = ours(t) else {
        return;
    };
    l.lower(0).file("d/f", "1");
    let m = Live::mount(t, &l);
    let file = inotify(&m.path("d/f"), libc::IN_MODIFY);
    let dir = inotify(&m.path("d"), libc::IN_CREATE);
    let new = layer(&l, "new");
    new.file("d/g", "2");
    m.push(new.root(), "p");
    write_at(open_write(m.path("d/f")), b"3", 0);
    write(m.path("d/h"), "");
    assert!(has_event(&file) && has_event(&dir));
    m.drop_at(1);
    write_at(open_write(m.path("d/f")), b"4", 0);
    write(m.path("d/i"), "");
    assert!(has_event(&file) && has_event(&dir));
}

fn mounts_below(t: &Test) {
    let Some(l) = ours(t) else {
        return;
    };
    l.lower(0).dir("d/sub").file("d/f", "1");
    let m = Live::mount(t, &l);
    let new = layer(&l, "new");
    new.file("d/f", "2").file("d/sub/x", "").dir("made/sub");
    let inner = |path: &str| {
        let inner = rovl_testing::Request::new("tmpfs").mount(&m.path(path));
        let inner = ok(inner.map_err(|r| r.describe()));
        write(inner.path("inside"), path);
        inner
    };
    let first = inner("d/sub");
    m.push(new.root(), "p");
    assert_eq!(read(m.path("d/f")), b"2");
    assert_eq!(read(m.path("d/sub/inside")), b"d/sub");
    let second = inner("made/sub");
    m.drop_at(1);
    assert_eq!(read(m.path("d/f")), b"1");
    assert_eq!(read(m.path("d/sub/inside")), b"d/sub");
    assert_eq!(read(m.path("made/sub/inside")), b"made/sub");
    assert!(is_mount_point(&m.path("d/sub")) && is_mount_point(&m.path("made/sub")));
    first.unmount();
    second.unmount();
    assert!(names(m.path("d/sub")).is_empty());
    assert!(!exists(m.path("made")));
}

fn hard_links(t: &Test) {
    let Some(l) = ours(t) else {
        return;
    };
    l.lower(0).file("f", "f").link("f", "g");
    let m = Live::mount(t, &l);
    write(m.path("up"), "up");
    link(m.path("up"), m.path("up2"));
    let new = layer(&l, "new");
    new.file("g", "new");
    for _ in 0..2 {
        let held = open_read(m.path("f"));
        m.push(new.root(), "p");
        assert_eq!(
            (read(m.path("f")), read(m.path("g"))),
            (b"f".to_vec(), b"new".to_vec())
        );
        write(m.path("up"), "1");
        assert_eq!(read(m.path("up2")), b"1");
        m.drop_at(1);
        assert_eq!(
            (read(m.path("f")), read(m.path("g"))),
            (b"f".to_vec(), b"f".to_vec())
        );
        write(m.path("up2"), "22");
        assert_eq!(read(m.path("up")), b"22");
        assert_eq!(stat(m.path("up")).st_nlink, 2);
        drop(held);
    }
    write(m.path("f"), "changed");
    assert_eq!(read(m.path("g")), b"f");
}
