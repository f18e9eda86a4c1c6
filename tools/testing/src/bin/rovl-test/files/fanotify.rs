// SPDX-License-Identifier: GPL-2.0
//! fanotify, with descriptors and with file handles, and its permission events.

use std::path::{Path, PathBuf};

use libc::{
    FAN_ACCESS, FAN_ACCESS_PERM, FAN_ATTRIB, FAN_CLASS_CONTENT, FAN_CLOSE_WRITE, FAN_CREATE,
    FAN_DELETE, FAN_EVENT_ON_CHILD, FAN_MARK_FILESYSTEM, FAN_MARK_MOUNT, FAN_MODIFY, FAN_ONDIR,
    FAN_OPEN, FAN_OPEN_EXEC_PERM, FAN_OPEN_PERM, FAN_RENAME, FAN_REPORT_DIR_FID, FAN_REPORT_FID,
    FAN_REPORT_NAME, FAN_REPORT_TARGET_FID,
};
use rovl_testing::fanotify::{Event, Group, Record};
use rovl_testing::ops::{
    chmod, mkdir, open, open_read, open_write, read, rename, unlink, write_at,
};
use rovl_testing::overlay_xattr::fid_handle;
use rovl_testing::{cases, errno, ok, Test};
use rustix::fs::OFlags;
use rustix::io::Errno;

cases! {
    mark_of_a_mount,
    mark_of_a_file_system,
    mark_of_an_object,
    handles_of_files,
    handles_and_names_in_a_directory,
    handles_of_the_target,
    handles_of_a_rename,
    handles_over_a_copy_up,
    handles_with_marks_of_more_than_an_object,
    handles_of_a_nested_overlay,
    open_that_is_denied,
    open_that_is_allowed,
    reading_that_is_denied,
    execution_that_is_denied,
    layers_are_asked,
}

fn mark_of_a_mount(t: &Test) {
    let l = t.layers();
    l.lower(0).file("d/f", "x");
    let m = l.mount();
    let group = Group::of(
        0,
        FAN_MARK_MOUNT,
        FAN_OPEN | FAN_CLOSE_WRITE | FAN_MODIFY,
        m.root(),
    );
    read(m.path("d/f"));
    let event = group.one();
    assert_eq!((event.mask, event.path()), (FAN_OPEN, m.path("d/f")));
    write_at(open_write(m.path("d/f")), b"y", 0);
    let event = group.one();
    assert_eq!(event.mask, FAN_OPEN | FAN_MODIFY | FAN_CLOSE_WRITE);
    assert_eq!(event.path(), m.path("d/f"));
    assert_eq!(read(l.upper().path("d/f")), b"y");
    assert_eq!(
        group.events().len(),
        0,
        "the layer's file has another mount"
    );
}

fn mark_of_a_file_system(t: &Test) {
    let l = t.layers();
    l.lower(0).file("d/f", "x");
    let m = l.mount();
    let group = Group::of(0, FAN_MARK_FILESYSTEM, FAN_OPEN | FAN_ACCESS, m.root());
    read(m.path("d/f"));
    let event = group.one();
    assert_eq!(
        (event.mask, event.path()),
        (FAN_OPEN | FAN_ACCESS, m.path("d/f"))
    );
    drop(open_read(l.lower(0).path("d/f")));
    assert_eq!(group.events().len(), 0);
}

fn mark_of_an_object(t: &Test) {
    let l = t.layers();
    l.lower(0).file("d/f", "x").file("d/g", "x");
    let m = l.mount();
    let group = Group::of(0, 0, FAN_MODIFY, m.path("d/f"));
    let children = Group::of(0, 0, FAN_MODIFY | FAN_EVENT_ON_CHILD, m.path("d"));
    for name in ["d/f", "d/g"] {
        write_at(open_write(m.path(name)), b"y", 0);
    }
    assert_eq!(group.one().path(), m.path("d/f"));
    let paths: Vec<_> = children.events().iter().map(Event::path).collect();
    assert_eq!(paths, [m.path("d/f"), m.path("d/g")]);
}

/// The handle by which events tell of an object.
fn handle(path: &Path) -> (i32, Vec<u8>) {
    ok(fid_handle(path, 128, 0x200))
}

fn fsid(path: &Path) -> [u8; 8] {
    ok(rustix::fs::statvfs(path)).f_fsid.to_ne_bytes()
}

fn handles_of_files(t: &Test) {
    let l = t.layers();
    l.lower(0).file("lower", "x");
    l.upper().file("upper", "x");
    let m = l.mount();
    for name in ["lower", "upper"] {
        let path = m.path(name);
        let group = Group::of(FAN_REPORT_FID, 0, FAN_MODIFY | FAN_ATTRIB, &path);
        chmod(&path, 0o600);
        let event = group.one();
        assert_eq!(event.mask, FAN_ATTRIB, "{name}");
        let expected = Record {
            kind: 1,
            fsid: fsid(&path),
            handle: handle(&path),
            name: String::new(),
        };
        assert_eq!(event.records, [expected], "{name}");
    }
}

fn in_directory(m: &Path, kind: u8, dir: &str, name: &str) -> Record {
    Record {
        kind,
        fsid: fsid(m),
        handle: handle(&m.join(dir)),
        name: name.to_owned(),
    }
}

fn handles_and_names_in_a_directory(t: &Test) {
    let l = t.layers();
    l.lower(0).file("d/old", "x");
    let m = l.mount();
    let mask = FAN_CREATE | FAN_DELETE | FAN_ONDIR | FAN_EVENT_ON_CHILD | FAN_MODIFY;
    let group = Group::of(FAN_REPORT_DIR_FID | FAN_REPORT_NAME, 0, mask, m.path("d"));
    mkdir(m.path("d/sub"));
    unlink(m.path("d/old"));
    let events = group.events();
    assert_eq!(events.len(), 2, "{events:?}");
    assert_eq!(events[0].mask, FAN_CREATE | FAN_ONDIR);
    assert_eq!(events[0].records, [in_directory(m.root(), 2, "d", "sub")]);
    assert_eq!(events[1].mask, FAN_DELETE);
    assert_eq!(events[1].records, [in_directory(m.root(), 2, "d", "old")]);
}

fn handles_of_the_target(t: &Test) {
    let l = t.layers();
    l.lower(0).file("d/lower", "x");
    let m = l.mount();
    let flags = FAN_REPORT_FID | FAN_REPORT_DIR_FID | FAN_REPORT_NAME | FAN_REPORT_TARGET_FID;
    let group = Group::of(flags, 0, FAN_CREATE | FAN_DELETE, m.path("d"));
    let gone = handle(&m.path("d/lower"));
    unlink(m.path("d/lower"));
    drop(open(m.path("d/new"), OFlags::CREATE | OFlags::RDWR));
    let events = group.events();
    assert_eq!(events.len(), 2, "{events:?}");
    assert_eq!(events[0].records[1].handle, gone);
    assert_eq!(events[1].records[1].handle, handle(&m.path("d/new")));
}

fn handles_of_a_rename(t: &Test) {
    let l = t.layers();
    l.lower(0).file("a/f", "x").dir("b");
    let m = l.mount();
    let flags = FAN_REPORT_DIR_FID | FAN_REPORT_NAME;
    let group = Group::new(flags);
    for dir in ["a", "b"] {
        ok(group.mark(0, FAN_RENAME, &m.path(dir)));
    }
    rename(m.path("a/f"), m.path("b/g"));
    let event = group.one();
    assert_eq!(event.mask, FAN_RENAME);
    let expected = [
        in_directory(m.root(), 10, "a", "f"),
        in_directory(m.root(), 12, "b", "g"),
    ];
    assert_eq!(event.records, expected);
}

fn handles_over_a_copy_up(t: &Test) {
    let l = t.layers();
    l.lower(0).file("d/f", "x");
    let m = l.mount();
    let before = (handle(&m.path("d")), handle(&m.path("d/f")));
    let flags = FAN_REPORT_FID | FAN_REPORT_DIR_FID | FAN_REPORT_NAME;
    let group = Group::of(
        flags,
        0,
        FAN_ATTRIB | FAN_MODIFY | FAN_EVENT_ON_CHILD,
        m.path("d"),
    );
    chmod(m.path("d/f"), 0o600);
    write_at(open_write(m.path("d/f")), b"y", 0);
    let event = group.one();
    assert_eq!(event.mask, FAN_ATTRIB | FAN_MODIFY);
    assert_eq!(event.records.len(), 2);
    assert_eq!(event.records[0].handle, before.0);
    assert_eq!(event.records[0].name, "f");
    assert_eq!(event.records[1].handle, before.1);
}

fn handles_with_marks_of_more_than_an_object(t: &Test) {
    let l = t.layers();
    l.lower(0).file("f", "x");
    let m = l.mount();
    // They need handles that can be opened, which the overlay has only with nfs_export.
    for how in [FAN_MARK_MOUNT, FAN_MARK_FILESYSTEM] {
        let group = Group::new(FAN_REPORT_FID);
        let marked = group.mark(how, FAN_OPEN, m.root());
        assert_eq!(errno(marked), Errno::OPNOTSUPP, "{how:#x}");
    }
}

fn handles_of_a_nested_overlay(t: &Test) {
    let below = t.layers_in(&t.dir().join("below"));
    below.lower(0).file("f", "x");
    let first = below.mount();
    let above = t.layers_in(&t.dir().join("above"));
    let request = rovl_testing::Request::new(t.kind())
        .set("lowerdir", first.root())
        .set("upperdir", above.upper().root())
        .set("workdir", above.work());
    let m = rovl_testing::mount::granted(t, request.mount(&above.merged()));
    // The lower overlay's handles cannot be decoded, so the upper one gives plain inode numbers.
    const INO64_GEN: i32 = 0x81;
    assert_eq!(handle(&m.path("f")).0, INO64_GEN);
    let group = Group::of(FAN_REPORT_FID, 0, FAN_ATTRIB, m.path("f"));
    let before = handle(&m.path("f"));
    chmod(m.path("f"), 0o600);
    assert_eq!(group.one().records[0].handle, before);
    m.unmount();
}

/// Runs `body`, which is asked about once, with this answer; gives the path and the outcome.
fn asked<T: Send>(group: &Group, allow: bool, body: impl FnOnce() -> T + Send) -> (PathBuf, T) {
    std::thread::scope(|scope| {
        let body = scope.spawn(body);
        let path = group.answer(allow);
        match body.join() {
            Ok(outcome) => (path, outcome),
            Err(payload) => std::panic::resume_unwind(payload),
        }
    })
}

fn open_that_is_denied(t: &Test) {
    let l = t.layers();
    l.lower(0).file("f", "x");
    let m = l.mount();
    let group = Group::of(FAN_CLASS_CONTENT, FAN_MARK_MOUNT, FAN_OPEN_PERM, m.root());
    let path = m.path("f");
    let (seen, opened) = asked(&group, false, || {
        rustix::fs::open(&path, OFlags::RDWR | OFlags::CLOEXEC, 0.into())
    });
    assert_eq!((seen, errno(opened)), (m.path("f"), Errno::PERM));
    l.assert_upper(&[]);
}

fn open_that_is_allowed(t: &Test) {
    let l = t.layers();
    l.lower(0).file("f", "x");
    let m = l.mount();
    let group = Group::of(FAN_CLASS_CONTENT, FAN_MARK_MOUNT, FAN_OPEN_PERM, m.root());
    let path = m.path("f");
    let (seen, opened) = asked(&group, true, || open_write(&path));
    assert_eq!(seen, m.path("f"));
    write_at(&opened, b"y", 0);
    l.assert_upper(&["f file 644 \"y\" origin"]);
}

fn reading_that_is_denied(t: &Test) {
    let l = t.layers();
    l.lower(0).file("f", "data");
    let m = l.mount();
    let group = Group::of(FAN_CLASS_CONTENT, 0, FAN_ACCESS_PERM, m.path("f"));
    let file = open_read(m.path("f"));
    let (seen, outcome) = asked(&group, false, || rustix::io::pread(&file, &mut [0u8; 4], 0));
    assert_eq!((seen, errno(outcome)), (m.path("f"), Errno::PERM));
    let (_, outcome) = asked(&group, true, || rustix::io::pread(&file, &mut [0u8; 4], 0));
    assert_eq!(ok(outcome), 4);
}

fn execution_that_is_denied(t: &Test) {
    let l = t.layers();
    let program = ok(std::fs::read("/proc/self/exe"));
    l.lower(0).file("program", program).mode("program", 0o755);
    let m = l.mount();
    let group = Group::of(
        FAN_CLASS_CONTENT,
        FAN_MARK_MOUNT,
        FAN_OPEN_EXEC_PERM,
        m.root(),
    );
    let path = m.path("program");
    let (seen, outcome) = asked(&group, false, || {
        std::process::Command::new(&path)
            .arg("--help")
            .output()
            .err()
    });
    let code = outcome.and_then(|error| error.raw_os_error());
    assert_eq!((seen, code), (m.path("program"), Some(libc::EPERM)));
}

fn layers_are_asked(t: &Test) {
    let l = t.layers();
    l.lower(0).file("f", "data");
    l.upper().file("g", "data");
    let m = l.mount();
    for (layer, name) in [(l.lower(0), "f"), (l.upper(), "g")] {
        let group = Group::of(FAN_CLASS_CONTENT, 0, FAN_OPEN_PERM, layer.path(name));
        let path = m.path(name);
        let open = || rustix::fs::open(&path, OFlags::RDONLY | OFlags::CLOEXEC, 0.into());
        let (_, opened) = asked(&group, false, open);
        assert_eq!(errno(opened), Errno::PERM, "{name}");
        let (_, opened) = asked(&group, true, open);
        assert_eq!(rovl_testing::ops::read_fd(ok(opened)), b"data");
    }
}
