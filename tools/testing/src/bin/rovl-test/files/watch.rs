// SPDX-License-Identifier: GPL-2.0
//! inotify: a watch is one of the merged object, before and after copy-up.

use std::os::fd::OwnedFd;
use std::path::Path;

use rovl_testing::ops::{
    chmod, exists, link, mkdir, open, open_read, open_write, read, rename, rmdir, unlink, write,
    write_at,
};
use rovl_testing::raw::{descriptor, result, text};
use rovl_testing::{cases, errno, ok, Test};
use rustix::fs::OFlags;
use rustix::io::Errno;

cases! {
    file_over_a_copy_up,
    names_in_a_directory,
    changes_in_a_merged_directory,
    directory_over_a_copy_up,
    renamed_file,
    both_names_of_a_file,
    removed_objects,
    symbolic_link_itself,
    end_of_the_mount,
    one_event_for_one_change,
    layers_tell_too,
    changes_of_the_layers_are_not_told,
}

const ACCESS: u32 = libc::IN_ACCESS;
const MODIFY: u32 = libc::IN_MODIFY;
const ATTRIB: u32 = libc::IN_ATTRIB;
const CLOSE_WRITE: u32 = libc::IN_CLOSE_WRITE;
const CLOSE: u32 = libc::IN_CLOSE_NOWRITE;
const OPEN: u32 = libc::IN_OPEN;
const FROM: u32 = libc::IN_MOVED_FROM;
const TO: u32 = libc::IN_MOVED_TO;
const CREATE: u32 = libc::IN_CREATE;
const DELETE: u32 = libc::IN_DELETE;
const DELETE_SELF: u32 = libc::IN_DELETE_SELF;
const MOVE_SELF: u32 = libc::IN_MOVE_SELF;
const DIR: u32 = libc::IN_ISDIR;

/// A set of watches.
struct Watch(OwnedFd);

impl Watch {
    fn new() -> Self {
        // SAFETY: plain flags.
        let fd = unsafe { libc::inotify_init1(libc::IN_CLOEXEC | libc::IN_NONBLOCK) };
        Self(ok(descriptor(i64::from(fd))))
    }

    /// Of one object.
    fn of(path: impl AsRef<Path>, mask: u32) -> Self {
        let watch = Self::new();
        ok(watch.add(path, mask));
        watch
    }

    fn add(&self, path: impl AsRef<Path>, mask: u32) -> Result<i64, Errno> {
        use std::os::fd::AsRawFd;
        let path = text(path);
        // SAFETY: the path is a C string.
        let number = unsafe { libc::inotify_add_watch(self.0.as_raw_fd(), path.as_ptr(), mask) };
        result(i64::from(number))
    }

    /// What has happened since the last call: events and names.
    fn seen(&self) -> Vec<(u32, String)> {
        let mut events = Vec::new();
        let mut buffer = [0u8; 4096];
        loop {
            let n = match rustix::io::read(&self.0, &mut buffer) {
                Err(Errno::AGAIN) => return events,
                n => ok(n),
            };
            let mut rest = &buffer[..n];
            while let Some((header, after)) = rest.split_at_checked(16) {
                let number = |at| u32::from_ne_bytes([0, 1, 2, 3].map(|n: usize| header[at + n]));
                let (name, next) = after.split_at(number(12) as usize);
                let name = name.split(|byte| *byte == 0).next().unwrap_or_default();
                events.push((number(4), String::from_utf8_lossy(name).into_owned()));
                rest = next;
            }
        }
    }

    #[track_caller]
    fn expect(&self, expected: &[(u32, &str)]) {
        let seen = self.seen();
        let seen: Vec<_> = seen.iter().map(|(mask, name)| (*mask, &name[..])).collect();
        assert_eq!(seen, expected);
    }
}

fn file_over_a_copy_up(t: &Test) {
    let l = t.layers();
    l.lower(0).file("f", "x");
    let m = l.mount();
    let watch = Watch::of(m.path("f"), libc::IN_ALL_EVENTS);
    read(m.path("f"));
    watch.expect(&[(OPEN, ""), (ACCESS, ""), (CLOSE, "")]);
    let file = open_write(m.path("f"));
    assert!(exists(l.upper().path("f")));
    write_at(&file, b"y", 0);
    drop(file);
    watch.expect(&[(OPEN, ""), (MODIFY, ""), (CLOSE_WRITE, "")]);
    chmod(m.path("f"), 0o600);
    watch.expect(&[(ATTRIB, "")]);
}

fn names_in_a_directory(t: &Test) {
    let l = t.layers();
    l.lower(0).file("d/old", "x").dir("d/sub");
    let m = l.mount();
    let all = CREATE | DELETE | FROM | TO | ATTRIB | MODIFY;
    let watch = Watch::of(m.path("d"), all);
    write(m.path("d/new"), "x");
    watch.expect(&[(CREATE, "new"), (MODIFY, "new")]);
    rename(m.path("d/old"), m.path("d/new"));
    watch.expect(&[(FROM, "old"), (TO, "new")]);
    unlink(m.path("d/new"));
    rmdir(m.path("d/sub"));
    mkdir(m.path("d/sub"));
    watch.expect(&[
        (DELETE, "new"),
        (DELETE | DIR, "sub"),
        (CREATE | DIR, "sub"),
    ]);
}

fn changes_in_a_merged_directory(t: &Test) {
    let l = t.layers();
    l.lower(1).file("d/bottom", "x");
    l.lower(0).file("d/top", "x");
    l.upper().file("d/upper", "x");
    let m = l.mount();
    let watch = Watch::of(m.path("d"), ATTRIB | MODIFY | CREATE | DELETE);
    for name in ["bottom", "top", "upper"] {
        chmod(m.path("d").join(name), 0o600);
        write_at(open_write(m.path("d").join(name)), b"y", 0);
        watch.expect(&[(ATTRIB, name), (MODIFY, name)]);
    }
    link(m.path("d/top"), m.path("d/link"));
    watch.expect(&[(CREATE, "link")]);
}

fn directory_over_a_copy_up(t: &Test) {
    let l = t.layers();
    l.lower(0).file("a/b/f", "x");
    let m = l.mount();
    let watch = Watch::of(m.path("a/b"), ATTRIB | CREATE);
    chmod(m.path("a/b"), 0o700);
    write(m.path("a/b/g"), "x");
    watch.expect(&[(ATTRIB | DIR, ""), (CREATE, "g")]);
}

fn renamed_file(t: &Test) {
    let l = t.layers();
    l.lower(0).file("a/f", "x").dir("b");
    let m = l.mount();
    let watch = Watch::of(m.path("a/f"), MOVE_SELF | MODIFY | DELETE_SELF);
    rename(m.path("a/f"), m.path("b/g"));
    write_at(open_write(m.path("b/g")), b"y", 0);
    watch.expect(&[(MOVE_SELF, ""), (MODIFY, "")]);
}

fn both_names_of_a_file(t: &Test) {
    let l = t.layers();
    l.lower(0).file("f", "x");
    let m = l.mount();
    let watch = Watch::of(m.path("f"), MODIFY | ATTRIB);
    link(m.path("f"), m.path("g"));
    watch.expect(&[(ATTRIB, "")]);
    write_at(open_write(m.path("g")), b"y", 0);
    watch.expect(&[(MODIFY, "")]);
    unlink(m.path("g"));
    watch.expect(&[(ATTRIB, "")]);
}

fn removed_objects(t: &Test) {
    let l = t.layers();
    l.lower(0).file("lower", "x").dir("dir");
    l.upper().file("upper", "x");
    let m = l.mount();
    for name in ["lower", "upper", "dir"] {
        let watch = Watch::of(m.path(name), DELETE_SELF | ATTRIB);
        if name == "dir" {
            rmdir(m.path(name));
            watch.expect(&[(DELETE_SELF, ""), (libc::IN_IGNORED, "")]);
        } else {
            unlink(m.path(name));
            watch.expect(&[(ATTRIB, ""), (DELETE_SELF, ""), (libc::IN_IGNORED, "")]);
        }
    }
}

fn symbolic_link_itself(t: &Test) {
    let l = t.layers();
    l.lower(0).symlink("s", "nowhere");
    let m = l.mount();
    let watch = Watch::of(m.path("s"), ATTRIB | libc::IN_DONT_FOLLOW);
    rovl_testing::ops::chown(m.path("s"), 1, 2);
    watch.expect(&[(ATTRIB, "")]);
}

fn end_of_the_mount(t: &Test) {
    let l = t.layers();
    l.lower(0).file("f", "x");
    let m = l.mount();
    let watch = Watch::of(m.path("f"), MODIFY);
    m.unmount();
    watch.expect(&[(libc::IN_UNMOUNT, ""), (libc::IN_IGNORED, "")]);
}

fn one_event_for_one_change(t: &Test) {
    let l = t.layers();
    l.lower(0).file("f", "x");
    let m = l.mount();
    let watch = Watch::of(m.root(), libc::IN_ALL_EVENTS);
    let file = open(m.path("f"), OFlags::RDWR | OFlags::TRUNC);
    watch.expect(&[(OPEN, "f"), (MODIFY, "f")]);
    write_at(&file, b"abc", 0);
    ok(rustix::fs::ftruncate(&file, 1));
    watch.expect(&[(MODIFY, "f")]);
    ok(rustix::fs::fallocate(
        &file,
        rustix::fs::FallocateFlags::empty(),
        0,
        10,
    ));
    drop(file);
    watch.expect(&[(MODIFY, "f"), (CLOSE_WRITE, "f")]);
    assert_eq!(errno(watch.add(m.path("none"), MODIFY)), Errno::NOENT);
}

fn layers_tell_too(t: &Test) {
    let l = t.layers();
    l.lower(0).file("d/f", "x");
    l.upper().file("d/g", "x");
    let m = l.mount();
    let lower = Watch::of(l.lower(0).path("d"), libc::IN_ALL_EVENTS);
    let upper = Watch::of(l.upper().path("d"), OPEN | MODIFY | CLOSE_WRITE | DELETE);
    read(m.path("d/f"));
    lower.expect(&[(OPEN, "f"), (ACCESS, "f"), (CLOSE, "f")]);
    write_at(open_write(m.path("d/g")), b"y", 0);
    upper.expect(&[(OPEN, "g"), (MODIFY, "g"), (CLOSE_WRITE, "g")]);
    unlink(m.path("d/g"));
    upper.expect(&[(DELETE, "g")]);
    chmod(m.path("d/f"), 0o600);
    let seen = lower.seen();
    assert!(seen
        .iter()
        .all(|(mask, _)| mask & !(OPEN | CLOSE | ACCESS) == 0));
}

fn changes_of_the_layers_are_not_told(t: &Test) {
    let l = t.layers();
    l.upper().file("f", "x");
    let m = l.mount();
    drop(open_read(m.path("f")));
    let watch = Watch::of(m.path("f"), libc::IN_ALL_EVENTS);
    write_at(open_write(l.upper().path("f")), b"y", 0);
    chmod(l.upper().path("f"), 0o600);
    watch.expect(&[]);
}
