// SPDX-License-Identifier: GPL-2.0
//! fanotify: groups of marks, and the events that they report.

use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::path::{Path, PathBuf};

use rustix::io::Errno;

use crate::ops::ok;
use crate::raw::{descriptor, result, text};
use crate::skip;

/// A group of marks.
pub struct Group(OwnedFd);

/// An event.
#[derive(Debug)]
pub struct Event {
    /// What happened (`FAN_ACCESS` and so on).
    pub mask: u64,
    /// The file, where descriptors are reported.
    pub file: Option<OwnedFd>,
    /// The objects, where handles are reported.
    pub records: Vec<Record>,
}

/// What an event tells of an object.
#[derive(Debug, PartialEq)]
pub struct Record {
    /// Its kind (`FAN_EVENT_INFO_TYPE_FID` and so on).
    pub kind: u8,
    /// The file system.
    pub fsid: [u8; 8],
    /// Type and bytes of the handle.
    pub handle: (i32, Vec<u8>),
    /// The name, or nothing.
    pub name: String,
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

    /// Path of the file.
    #[track_caller]
    pub fn path(&self) -> PathBuf {
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
    /// A group that reports as `flags` say (`FAN_REPORT_FID` and so on).
    #[track_caller]
    pub fn new(flags: u32) -> Self {
        const EVENT_FLAGS: u32 = (libc::O_RDONLY | libc::O_CLOEXEC) as u32;
        // FAN_CLOEXEC | FAN_NONBLOCK
        // SAFETY: plain flags.
        let fd = unsafe { libc::fanotify_init(0x3 | flags, EVENT_FLAGS) };
        match descriptor(i64::from(fd)) {
            Err(Errno::NOSYS) => skip("the kernel has no fanotify"),
            fd => Self(ok(fd)),
        }
    }

    /// Marks `path`, or what it is on as `how` says (`FAN_MARK_MOUNT` and so on), for the events `mask`.
    #[track_caller]
    pub fn mark(&self, how: u32, mask: u64, path: &Path) -> Result<(), Errno> {
        let path = text(path);
        let add = 1;
        let here = libc::AT_FDCWD;
        // SAFETY: the path is a C string.
        let returned = unsafe {
            libc::fanotify_mark(self.0.as_raw_fd(), add | how, mask, here, path.as_ptr())
        };
        result(i64::from(returned)).map(|_| ())
    }

    /// A group with one mark.
    #[track_caller]
    pub fn of(flags: u32, how: u32, mask: u64, path: impl AsRef<Path>) -> Self {
        let group = Self::new(flags);
        match group.mark(how, mask, path.as_ref()) {
            Err(Errno::INVAL) if flags & libc::FAN_CLASS_CONTENT != 0 => {
                skip("the kernel asks nobody for permission")
            }
            marked => ok(marked),
        }
        group
    }

    /// The events until now.
    #[track_caller]
    pub fn events(&self) -> Vec<Event> {
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

    /// The only event until now.
    #[track_caller]
    pub fn one(&self) -> Event {
        let mut events = self.events();
        assert_eq!(events.len(), 1, "{events:?}");
        events.remove(0)
    }

    /// Waits for an event.
    #[track_caller]
    pub fn wait(&self) {
        let mut ready = [rustix::event::PollFd::new(
            &self.0,
            rustix::event::PollFlags::IN,
        )];
        ok(rustix::event::poll(&mut ready, None));
    }

    /// Answers an event that asks for permission.
    #[track_caller]
    pub fn reply(&self, event: Event, allow: bool) {
        if let Some(file) = event.file {
            let answer = [file.as_raw_fd(), if allow { 1 } else { 2 }];
            let bytes: Vec<u8> = answer.iter().flat_map(|n| n.to_ne_bytes()).collect();
            ok(rustix::io::write(&self.0, &bytes));
        }
    }

    /// Answers the next event that asks for permission, and gives the path that it is about.
    #[track_caller]
    pub fn answer(&self, allow: bool) -> PathBuf {
        self.wait();
        let event = self.one();
        let path = event.path();
        self.reply(event, allow);
        path
    }
}
