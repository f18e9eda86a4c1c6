// SPDX-License-Identifier: GPL-2.0
//! `nfs_export=on`: fanotify marks of whole mounts and file systems, and what is opened by the
//! handles in their events.

use libc::{
    FAN_ATTRIB, FAN_CREATE, FAN_DELETE, FAN_MARK_FILESYSTEM, FAN_MARK_MOUNT, FAN_MODIFY, FAN_ONDIR,
    FAN_OPEN, FAN_RENAME, FAN_REPORT_DIR_FID, FAN_REPORT_FID, FAN_REPORT_NAME,
};
use rovl_testing::fanotify::{Group, Record};
use rovl_testing::handle::{forget, Handle};
use rovl_testing::ops::{
    chmod, mkdir, open_read, open_write, read, rename, rmdir, stat, unlink, write_at,
};
use rovl_testing::{cases, ok, Mounted, Test};
use rustix::fs::OFlags;
use rustix::io::Errno;

use crate::identity::nfs_export::mount;

cases! {
    mark_of_a_mount,
    mark_of_a_file_system,
    file_opened_by_an_event,
    directories_of_a_rename,
    what_was_removed,
}

/// Who made, moved or removed something where.
const NAMES: u32 = FAN_REPORT_FID | FAN_REPORT_DIR_FID | FAN_REPORT_NAME;

fn handle(record: &Record) -> Handle {
    let (kind, bytes) = record.handle.clone();
    Handle { kind, bytes }
}

/// The number of what is opened by the handle of `record`.
#[track_caller]
fn opened(m: &Mounted, record: &Record) -> u64 {
    let fd = ok(handle(record).open(m.root(), OFlags::PATH));
    ok(rustix::fs::fstat(fd)).st_ino
}

fn mark_of_a_mount(t: &Test) {
    let l = t.layers();
    l.lower(0).file("d/f", "x");
    let m = mount(t, &l);
    let group = Group::of(FAN_REPORT_FID, FAN_MARK_MOUNT, FAN_OPEN, m.root());
    drop(open_read(m.path("d/f")));
    let event = group.one();
    assert_eq!(event.records[0].handle, ok(handle_parts(&m, "d/f")));
    assert_eq!(opened(&m, &event.records[0]), stat(m.path("d/f")).st_ino);
}

fn handle_parts(m: &Mounted, name: &str) -> Result<(i32, Vec<u8>), Errno> {
    let handle = Handle::with_flags(m.path(name), 0)?;
    Ok((handle.kind, handle.bytes))
}

fn mark_of_a_file_system(t: &Test) {
    let l = t.layers();
    l.lower(0).file("a/f", "x").file("b/g", "y");
    let m = mount(t, &l);
    let mask = FAN_ATTRIB | FAN_MODIFY;
    let group = Group::of(NAMES, FAN_MARK_FILESYSTEM, mask, m.root());
    chmod(m.path("a/f"), 0o600);
    write_at(open_write(m.path("b/g")), b"z", 0);
    let events = group.events();
    let seen: Vec<_> = events
        .iter()
        .map(|event| (event.mask, event.records[0].name.as_str()))
        .collect();
    assert_eq!(seen, [(FAN_ATTRIB, "f"), (FAN_MODIFY, "g")]);
    for (event, dir) in events.iter().zip(["a", "b"]) {
        assert_eq!(opened(&m, &event.records[0]), stat(m.path(dir)).st_ino);
    }
}

/// The event is reported while the file is copied up; its handle is good before and after.
fn file_opened_by_an_event(t: &Test) {
    let l = t.layers();
    l.lower(0).file("d/f", "x");
    let m = mount(t, &l);
    let group = Group::of(FAN_REPORT_FID, FAN_MARK_FILESYSTEM, FAN_MODIFY, m.root());
    write_at(open_write(m.path("d/f")), b"y", 0);
    let event = group.one();
    assert_eq!(handle(&event.records[0]).read(m.root()), b"y");
    drop(group);
    forget();
    assert_eq!(handle(&event.records[0]).read(m.root()), b"y");
    m.unmount();
    let m = mount(t, &l);
    assert_eq!(handle(&event.records[0]).read(m.root()), b"y");
}

fn directories_of_a_rename(t: &Test) {
    let l = t.layers();
    l.lower(0).file("a/f", "x").dir("b");
    let m = mount(t, &l);
    let group = Group::of(NAMES, FAN_MARK_FILESYSTEM, FAN_RENAME, m.root());
    rename(m.path("a/f"), m.path("b/g"));
    let event = group.one();
    let names: Vec<_> = event.records.iter().map(|r| r.name.as_str()).collect();
    assert_eq!(names[..2], ["f", "g"]);
    for (record, dir) in event.records.iter().zip(["a", "b"]) {
        assert_eq!(opened(&m, record), stat(m.path(dir)).st_ino, "{dir}");
    }
    assert_eq!(read(m.path("b/g")), b"x");
}

fn what_was_removed(t: &Test) {
    let l = t.layers();
    l.lower(0).file("d/f", "x").dir("d/sub");
    let m = mount(t, &l);
    let mask = FAN_CREATE | FAN_DELETE | FAN_ONDIR;
    let group = Group::of(NAMES, FAN_MARK_FILESYSTEM, mask, m.root());
    let file = Handle::of(m.path("d/f"));
    let dir = Handle::of(m.path("d/sub"));
    unlink(m.path("d/f"));
    rmdir(m.path("d/sub"));
    mkdir(m.path("d/sub"));
    let events = group.events();
    let masks: Vec<u64> = events.iter().map(|event| event.mask).collect();
    // Both of one name are reported at once.
    assert_eq!(masks, [FAN_DELETE, FAN_CREATE | FAN_DELETE | FAN_ONDIR]);
    for event in &events {
        assert_eq!(opened(&m, &event.records[0]), stat(m.path("d")).st_ino);
    }
    for gone in [file, dir] {
        assert_eq!(gone.refusal(m.root()), Errno::STALE);
    }
}
