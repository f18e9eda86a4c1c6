// SPDX-License-Identifier: GPL-2.0
//! fanotify, with descriptors and with file handles, and its permission events.

use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::path::{Path, PathBuf};

use rovl_testing::ops::{
    chmod, mkdir, open, open_read, open_write, read, rename, unlink, write_at,
};
use rovl_testing::overlay_xattr::fid_handle;
use rovl_testing::raw::{descriptor, result, text};
use rovl_testing::{cases, errno, ok, skip, Test};
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

const CLASS_CONTENT: u32 = 0x4;
const REPORT_FID: u32 = 0x200;
const REPORT_DIR_FID: u32 = 0x400;
const REPORT_NAME: u32 = 0x800;
const REPORT_TARGET_FID: u32 = 0x1000;

const MOUNT: u32 = 0x10;
const FILE_SYSTEM: u32 = 0x100;

const ACCESS: u64 = 0x1;
const MODIFY: u64 = 0x2;
const ATTRIB: u64 = 0x4;
const CLOSE_WRITE: u64 = 0x8;
const OPEN: u64 = 0x20;
const CREATE: u64 = 0x100;
const DELETE: u64 = 0x200;
const OPEN_PERM: u64 = 0x1_0000;
const ACCESS_PERM: u64 = 0x2_0000;
const OPEN_EXEC_PERM: u64 = 0x4_0000;
const EVENT_ON_CHILD: u64 = 0x800_0000;
const RENAME: u64 = 0x1000_0000;
const ONDIR: u64 = 0x4000_0000;

/// A group of marks.
struct Group(OwnedFd);

/// An event.
#[derive(Debug)]
struct Event {
    mask: u64,
    file: Option<OwnedFd>,
    records: Vec<Record>,
}

/// What an event tells of an object: kind of the record, file system, handle, name.
#[derive(Debug, PartialEq)]
struct Record {
    kind: u8,
    fsid: [u8; 8],
    handle: (i32, Vec<u8>),
    name: String,
}

fn word(bytes: &[u8], at: usize) -> u32 {
    u32::from_ne_bytes([0, 1, 2, 3].map(|n| bytes[at + n]))
}

fn signed(bytes: &[u8], at: usize) -> i32 {
    i32::from_ne_bytes([0, 1, 2, 3].map(|n| bytes[at + n]))
}

impl Record {
    fn parse(bytes: &[u8]) -> Self {
        let len = word(bytes, 12) as usize;
        let handle = bytes[20..20 + len].to_vec();
        let name = bytes[20 + len..].split(|byte| *byte == 0).next();
        let mut fsid = [0; 8];
        fsid.copy_from_slice(&bytes[4..12]);
        Self {
            kind: bytes[0],
            fsid,
            handle: (signed(bytes, 16), handle),
            name: String::from_utf8_lossy(name.unwrap_or_default()).into_owned(),
        }
    }
}

impl Event {
    fn parse(bytes: &[u8]) -> Self {
        let fd = signed(bytes, 16);
        let mut records = Vec::new();
        let mut rest = &bytes[24..];
        while rest.len() > 4 {
            let len = usize::from(u16::from_ne_bytes([rest[2], rest[3]]));
            records.push(Record::parse(&rest[..len]));
            rest = &rest[len..];
        }
        let mask = u64::from(word(bytes, 8)) | (u64::from(word(bytes, 12)) << 32);
        // SAFETY: the event came with a new descriptor.
        let file = (fd >= 0).then(|| unsafe { OwnedFd::from_raw_fd(fd) });
        Self {
            mask,
            file,
            records,
        }
    }

    fn path(&self) -> PathBuf {
        match &self.file {
            Some(file) => ok(std::fs::read_link(format!(
                "/proc/self/fd/{}",
                file.as_raw_fd()
            ))),
            None => panic!("the event has no descriptor"),
        }
    }
}

impl Group {
    fn new(flags: u32) -> Self {
        const EVENT_FLAGS: u32 = (libc::O_RDONLY | libc::O_CLOEXEC) as u32;
        // FAN_CLOEXEC | FAN_NONBLOCK
        // SAFETY: plain flags.
        let fd = unsafe { libc::fanotify_init(0x3 | flags, EVENT_FLAGS) };
        match descriptor(i64::from(fd)) {
            Err(Errno::NOSYS) => skip("the kernel has no fanotify"),
            Err(Errno::INVAL) if flags & CLASS_CONTENT != 0 => {
                skip("the kernel asks nobody for permission")
            }
            fd => Self(ok(fd)),
        }
    }

    fn mark(&self, how: u32, mask: u64, path: &Path) -> Result<(), Errno> {
        let path = text(path);
        let add = 1;
        let here = libc::AT_FDCWD;
        // SAFETY: the path is a C string.
        let returned = unsafe {
            libc::fanotify_mark(self.0.as_raw_fd(), add | how, mask, here, path.as_ptr())
        };
        result(i64::from(returned)).map(|_| ())
    }

    fn of(flags: u32, how: u32, mask: u64, path: impl AsRef<Path>) -> Self {
        let group = Self::new(flags);
        ok(group.mark(how, mask, path.as_ref()));
        group
    }

    fn events(&self) -> Vec<Event> {
        let mut events = Vec::new();
        let mut buffer = [0u8; 8192];
        loop {
            let n = match rustix::io::read(&self.0, &mut buffer) {
                Err(Errno::AGAIN) => return events,
                n => ok(n),
            };
            let mut rest = &buffer[..n];
            while rest.len() >= 24 {
                let (event, next) = rest.split_at(word(rest, 0) as usize);
                events.push(Event::parse(event));
                rest = next;
            }
        }
    }

    fn one(&self) -> Event {
        let mut events = self.events();
        assert_eq!(events.len(), 1, "{events:?}");
        events.remove(0)
    }

    /// Answers the next event that asks for permission, and gives the path that it is about.
    fn answer(&self, allow: bool) -> PathBuf {
        let mut ready = [rustix::event::PollFd::new(
            &self.0,
            rustix::event::PollFlags::IN,
        )];
        ok(rustix::event::poll(&mut ready, None));
        let event = self.one();
        let path = event.path();
        if let Some(file) = event.file {
            let answer = [file.as_raw_fd(), if allow { 1 } else { 2 }];
            let bytes: Vec<u8> = answer.iter().flat_map(|n| n.to_ne_bytes()).collect();
            ok(rustix::io::write(&self.0, &bytes));
        }
        path
    }
}

fn mark_of_a_mount(t: &Test) {
    let l = t.layers();
    l.lower(0).file("d/f", "x");
    let m = l.mount();
    let group = Group::of(0, MOUNT, OPEN | CLOSE_WRITE | MODIFY, m.root());
    read(m.path("d/f"));
    let event = group.one();
    assert_eq!((event.mask, event.path()), (OPEN, m.path("d/f")));
    write_at(open_write(m.path("d/f")), b"y", 0);
    let event = group.one();
    assert_eq!(event.mask, OPEN | MODIFY | CLOSE_WRITE);
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
    let group = Group::of(0, FILE_SYSTEM, OPEN | ACCESS, m.root());
    read(m.path("d/f"));
    let event = group.one();
    assert_eq!((event.mask, event.path()), (OPEN | ACCESS, m.path("d/f")));
    drop(open_read(l.lower(0).path("d/f")));
    assert_eq!(group.events().len(), 0);
}

fn mark_of_an_object(t: &Test) {
    let l = t.layers();
    l.lower(0).file("d/f", "x").file("d/g", "x");
    let m = l.mount();
    let group = Group::of(0, 0, MODIFY, m.path("d/f"));
    let children = Group::of(0, 0, MODIFY | EVENT_ON_CHILD, m.path("d"));
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
        let group = Group::of(REPORT_FID, 0, MODIFY | ATTRIB, &path);
        chmod(&path, 0o600);
        let event = group.one();
        assert_eq!(event.mask, ATTRIB, "{name}");
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
    let mask = CREATE | DELETE | ONDIR | EVENT_ON_CHILD | MODIFY;
    let group = Group::of(REPORT_DIR_FID | REPORT_NAME, 0, mask, m.path("d"));
    mkdir(m.path("d/sub"));
    unlink(m.path("d/old"));
    let events = group.events();
    assert_eq!(events.len(), 2, "{events:?}");
    assert_eq!(events[0].mask, CREATE | ONDIR);
    assert_eq!(events[0].records, [in_directory(m.root(), 2, "d", "sub")]);
    assert_eq!(events[1].mask, DELETE);
    assert_eq!(events[1].records, [in_directory(m.root(), 2, "d", "old")]);
}

fn handles_of_the_target(t: &Test) {
    let l = t.layers();
    l.lower(0).file("d/lower", "x");
    let m = l.mount();
    let flags = REPORT_FID | REPORT_DIR_FID | REPORT_NAME | REPORT_TARGET_FID;
    let group = Group::of(flags, 0, CREATE | DELETE, m.path("d"));
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
    let flags = REPORT_DIR_FID | REPORT_NAME;
    let group = Group::new(flags);
    for dir in ["a", "b"] {
        ok(group.mark(0, RENAME, &m.path(dir)));
    }
    rename(m.path("a/f"), m.path("b/g"));
    let event = group.one();
    assert_eq!(event.mask, RENAME);
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
    let flags = REPORT_FID | REPORT_DIR_FID | REPORT_NAME;
    let group = Group::of(flags, 0, ATTRIB | MODIFY | EVENT_ON_CHILD, m.path("d"));
    chmod(m.path("d/f"), 0o600);
    write_at(open_write(m.path("d/f")), b"y", 0);
    let event = group.one();
    assert_eq!(event.mask, ATTRIB | MODIFY);
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
    for how in [MOUNT, FILE_SYSTEM] {
        let group = Group::new(REPORT_FID);
        let marked = group.mark(how, OPEN, m.root());
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
    let group = Group::of(REPORT_FID, 0, ATTRIB, m.path("f"));
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
    let group = Group::of(CLASS_CONTENT, MOUNT, OPEN_PERM, m.root());
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
    let group = Group::of(CLASS_CONTENT, MOUNT, OPEN_PERM, m.root());
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
    let group = Group::of(CLASS_CONTENT, 0, ACCESS_PERM, m.path("f"));
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
    let group = Group::of(CLASS_CONTENT, MOUNT, OPEN_EXEC_PERM, m.root());
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
        let group = Group::of(CLASS_CONTENT, 0, OPEN_PERM, layer.path(name));
        let path = m.path(name);
        let open = || rustix::fs::open(&path, OFlags::RDONLY | OFlags::CLOEXEC, 0.into());
        let (_, opened) = asked(&group, false, open);
        assert_eq!(errno(opened), Errno::PERM, "{name}");
        let (_, opened) = asked(&group, true, open);
        assert_eq!(rovl_testing::ops::read_fd(ok(opened)), b"data");
    }
}
