// SPDX-License-Identifier: GPL-2.0
//! Tracepoints of the type under test: in an instance of tracefs of its own, and as perf and bpftrace attach to them.

use std::collections::BTreeMap;
use std::fs;
use std::os::fd::{AsRawFd, OwnedFd};
use std::path::{Path, PathBuf};

use rustix::io::Errno;

use crate::case::Test;
use crate::ops::{ok, stat};
use crate::raw;

const TRACEFS: &str = "/sys/kernel/tracing";

/// The directory of the events of a file system type.
pub fn events_of(kind: &str) -> PathBuf {
    Path::new(TRACEFS).join("events").join(kind)
}

/// Events that are on, until it is dropped.
#[derive(Debug)]
pub struct Tracer {
    instance: PathBuf,
}

/// An event as it is shown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    /// Its name.
    pub name: String,
    /// All of its text.
    pub text: String,
    /// What is shown as `name=value`.
    pub fields: BTreeMap<String, String>,
}

impl Event {
    /// The value of a field.
    #[track_caller]
    pub fn get(&self, field: &str) -> &str {
        match self.fields.get(field) {
            Some(value) => value,
            None => panic!("no {field} in {}: {}", self.name, self.text),
        }
    }

    /// The value of a field that is a number.
    #[track_caller]
    pub fn number(&self, field: &str) -> i64 {
        ok(self.get(field).parse())
    }
}

impl Tracer {
    /// Switches these events of the type under test on.
    #[track_caller]
    pub fn on(t: &Test, events: &[&str]) -> Self {
        let name = format!("rovl-test-{}", std::process::id());
        let instance = Path::new(TRACEFS).join("instances").join(name);
        ok(fs::create_dir(&instance));
        let this = Self { instance };
        for event in events {
            let enable = format!("events/{}/{event}/enable", t.kind());
            ok(fs::write(this.instance.join(enable), "1"));
        }
        this
    }

    /// The events since the last call.
    #[track_caller]
    pub fn events(&self) -> Vec<Event> {
        let trace = self.instance.join("trace");
        let text = ok(fs::read(&trace));
        ok(fs::write(&trace, ""));
        let text = String::from_utf8_lossy(&text);
        text.lines().filter_map(parse).collect()
    }

    /// The same, of the mount with the root `root` only.
    #[track_caller]
    pub fn events_of(&self, root: &Path) -> Vec<Event> {
        let device = stat(root).st_dev;
        let device = format!(
            "{}:{}",
            rustix::fs::major(device),
            rustix::fs::minor(device)
        );
        let mut events = self.events();
        events.retain(|event| event.get("dev") == device);
        events
    }
}

impl Drop for Tracer {
    fn drop(&mut self) {
        let _ = fs::remove_dir(&self.instance);
    }
}

/// `task-123  [000] .....  12.345678: name: field=value field=value`
fn parse(line: &str) -> Option<Event> {
    if line.starts_with('#') {
        return None;
    }
    let (_, rest) = line.split_once("] ")?;
    let (_, rest) = rest.split_once(": ")?;
    let (name, text) = rest.split_once(": ")?;
    let fields = text.split(' ').filter_map(|word| word.split_once('='));
    Some(Event {
        name: name.to_owned(),
        text: text.to_owned(),
        fields: fields
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .collect(),
    })
}

/// The begin of `struct perf_event_attr`, with the size of its first version.
#[repr(C)]
#[derive(Default)]
struct PerfAttr {
    kind: u32,
    size: u32,
    config: u64,
    sample_period: u64,
    sample_type: u64,
    read_format: u64,
    flags: u64,
    wakeup: u32,
    breakpoint: u32,
    address: u64,
}

const TRACEPOINT: u32 = 2;

/// Counts an event as `perf stat -e` does, for this task.
pub struct Counted(OwnedFd);

impl Counted {
    /// Begins to count an event of the type under test.
    #[track_caller]
    pub fn new(t: &Test, event: &str) -> Self {
        let id = ok(fs::read_to_string(
            events_of(t.kind()).join(event).join("id"),
        ));
        let attr = PerfAttr {
            kind: TRACEPOINT,
            size: ok(u32::try_from(size_of::<PerfAttr>())),
            config: ok(id.trim().parse()),
            ..PerfAttr::default()
        };
        // SAFETY: the structure has the size that it tells.
        let fd = unsafe { libc::syscall(libc::SYS_perf_event_open, &raw const attr, 0, -1, -1, 0) };
        Self(ok(raw::descriptor(fd)))
    }

    /// How often it happened.
    #[track_caller]
    pub fn count(&self) -> u64 {
        let mut count = [0; 8];
        ok(rustix::io::read(&self.0, &mut count));
        u64::from_ne_bytes(count)
    }

    /// Has a program of eBPF that does nothing run at each, as bpftrace attaches its own.
    pub fn attach_program(&self) -> Result<OwnedFd, Errno> {
        /// `union bpf_attr` for `BPF_PROG_LOAD`, as far as it is needed.
        #[repr(C)]
        struct Load {
            kind: u32,
            count: u32,
            code: u64,
            license: u64,
            log_level: u32,
            log_size: u32,
            log: u64,
            version: u32,
            flags: u32,
        }
        const PROG_LOAD: i32 = 5;
        const PROG_TYPE_TRACEPOINT: u32 = 5;
        const SET_BPF: u64 = 0x4004_2408;
        // r0 = 1; exit
        let code: [u64; 2] = [0x0000_0001_0000_00b7, 0x95];
        let load = Load {
            kind: PROG_TYPE_TRACEPOINT,
            count: 2,
            code: code.as_ptr() as u64,
            license: c"GPL".as_ptr() as u64,
            log_level: 0,
            log_size: 0,
            log: 0,
            version: 0,
            flags: 0,
        };
        let size = size_of::<Load>();
        // SAFETY: the structure has that size, and what it points to lives until the call is back.
        let fd = unsafe { libc::syscall(libc::SYS_bpf, PROG_LOAD, &raw const load, size) };
        let program = raw::descriptor(fd)?;
        // SAFETY: the request takes the number of a descriptor.
        let set = unsafe { libc::ioctl(self.0.as_raw_fd(), SET_BPF, program.as_raw_fd()) };
        raw::result(i64::from(set))?;
        Ok(program)
    }
}
