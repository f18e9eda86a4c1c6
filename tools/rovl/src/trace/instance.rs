// SPDX-License-Identifier: GPL-2.0

//! An instance of tracefs: a buffer of its own, with events that are on for it alone. It goes when it is
//! dropped.

use super::{Line, Lines};
use crate::show::name;
use crate::sys::Signals;
use anyhow::{bail, Context, Result};
use rustix::event::{poll, PollFd, PollFlags, Timespec};
use rustix::fs::{open, Mode, OFlags};
use rustix::io::Errno;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Where it is mounted.
pub const TRACEFS: &str = "/sys/kernel/tracing";

/// The types whose events they may be, which have their names.
const SYSTEMS: [&str; 2] = ["rovl", "overlay"];

/// What our instances are called, before the number of the process.
const PREFIX: &str = "rovl-";

/// What stands for the name of a task that the kernel has not noted.
const UNKNOWN: &[u8] = b"<...>";

/// Events that are on.
#[derive(Debug)]
pub struct Instance {
    dir: PathBuf,
    pipe: rustix::fd::OwnedFd,
    lines: Lines,
    buffer: Vec<u8>,
}

/// Why the wait is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wake {
    /// There are events, or it was long enough.
    Go,
    /// The program is to end.
    End,
}

/// The modules that have events and are loaded.
pub fn systems() -> Result<Vec<&'static str>> {
    let events = Path::new(TRACEFS).join("events");
    let listed = fs::read_dir(&events);
    listed.with_context(|| {
        format!(
            "cannot read {}: tracing takes root, and tracefs (mount -t tracefs none {TRACEFS})",
            name(&events)
        )
    })?;
    let has = |system: &&str| events.join(system).join("copy_up_end").exists();
    let found: Vec<_> = SYSTEMS.into_iter().filter(has).collect();
    if found.is_empty() {
        bail!(
            "the kernel has no such events: rovl, or its drop-in overlay, is not loaded; \
             the in-tree module has none"
        );
    }
    Ok(found)
}

impl Instance {
    /// Makes one, in which these events are on: each a system and a name.
    pub fn new(events: &[(&str, &str)]) -> Result<Self> {
        let instances = Path::new(TRACEFS).join("instances");
        remove_orphans(&instances);
        let dir = instances.join(format!("{PREFIX}{}", std::process::id()));
        fs::create_dir(&dir).with_context(|| format!("cannot make {}", name(&dir)))?;
        Self::in_dir(&dir, events).inspect_err(|_| {
            // What went wrong is said already.
            let _ = fs::remove_dir(&dir);
        })
    }

    fn in_dir(dir: &Path, events: &[(&str, &str)]) -> Result<Self> {
        let write = |file: &str, text: &str| {
            let path = dir.join(file);
            fs::write(&path, text).with_context(|| format!("cannot write {}", name(&path)))
        };
        // A reader is woken by each event, not by a buffer that is half full.
        write("buffer_percent", "0")?;
        let path = dir.join("trace_pipe");
        let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let pipe = open(&path, flags, Mode::empty());
        let pipe = pipe.with_context(|| format!("cannot open {}", name(&path)))?;
        for (system, event) in events {
            write(&format!("events/{system}/{event}/enable"), "1")?;
        }
        Ok(Self {
            dir: dir.to_owned(),
            pipe,
            lines: Lines::default(),
            buffer: vec![0; 1 << 16],
        })
    }

    /// Waits for events, for a signal that ends the program, or for so long.
    pub fn wait(&self, signals: &Signals, longest: Duration) -> Result<Wake> {
        let mut fds = [
            PollFd::new(&self.pipe, PollFlags::IN),
            PollFd::new(signals, PollFlags::IN),
        ];
        let longest = Timespec::try_from(longest).unwrap_or_default();
        match poll(&mut fds, Some(&longest)) {
            Ok(_) | Err(Errno::INTR) => {}
            Err(errno) => return Err(errno).context("cannot wait for events"),
        }
        let [_, signal] = &fds;
        Ok(match signal.revents().contains(PollFlags::IN) {
            true => Wake::End,
            false => Wake::Go,
        })
    }

    /// Calls `each` with the events that are there.
    pub fn read(&mut self, mut each: impl FnMut(Line)) -> Result<()> {
        // No more than some at once: they may come faster than they are shown.
        for _ in 0..64 {
            match rustix::io::read(&self.pipe, self.buffer.as_mut_slice()) {
                Ok(0) | Err(Errno::AGAIN) => break,
                Ok(len) => {
                    let text = self.buffer.get(..len).unwrap_or_default();
                    self.lines.feed(text, |mut line| {
                        name_task(&mut line);
                        each(line);
                    });
                }
                Err(Errno::INTR) => {}
                Err(errno) => return Err(errno).context("cannot read events"),
            }
        }
        Ok(())
    }

    /// How many events the kernel had no room for since the last call.
    pub fn take_lost(&mut self) -> u64 {
        std::mem::take(&mut self.lines.lost)
    }
}

/// Asks for the name of a task that the kernel has not noted. It may have ended.
fn name_task(line: &mut Line) {
    if line.comm == UNKNOWN {
        if let Ok(comm) = fs::read(format!("/proc/{}/comm", line.pid)) {
            line.comm = comm.trim_ascii_end().to_vec();
        }
    }
}

impl Drop for Instance {
    fn drop(&mut self) {
        // It cannot be removed while it is being read.
        if let Ok(null) = open("/dev/null", OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty()) {
            self.pipe = null;
        }
        // It has no users; what else could go wrong leaves a buffer that the next run removes.
        let _ = fs::remove_dir(&self.dir);
    }
}

/// Removes the instances of runs that were killed. One that is in use cannot be removed.
fn remove_orphans(instances: &Path) {
    for entry in fs::read_dir(instances).into_iter().flatten().flatten() {
        let name = entry.file_name();
        let pid = name.to_str().and_then(|name| name.strip_prefix(PREFIX));
        let pid = pid.filter(|pid| pid.bytes().all(|byte| byte.is_ascii_digit()));
        if pid.is_some_and(|pid| !Path::new("/proc").join(pid).exists()) {
            let _ = fs::remove_dir(entry.path());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{name_task, Instance, Line, Path, TRACEFS, UNKNOWN};
    use crate::sys::Signals;
    use std::time::Duration;

    #[test]
    fn tasks_without_names() {
        let mut line = Line {
            comm: UNKNOWN.to_vec(),
            pid: 1,
            time: 0,
            event: String::new(),
            text: String::new(),
        };
        name_task(&mut line);
        let init = std::fs::read("/proc/1/comm").expect("init");
        assert_eq!(line.comm, init.trim_ascii_end());
        (line.comm, line.pid) = (UNKNOWN.to_vec(), u32::MAX);
        name_task(&mut line);
        assert_eq!(line.comm, UNKNOWN);
    }

    #[test]
    fn events_of_this_kernel() {
        let event = ("sched", "sched_process_exit");
        let path = Path::new(TRACEFS)
            .join("events")
            .join(event.0)
            .join(event.1);
        if !path.exists() {
            return println!("skipped: {} is not there", path.display());
        }
        let signals = Signals::new().expect("signals");
        let mut instance = Instance::new(&[event]).expect("an instance");
        let dir = instance.dir.clone();
        let mut child = std::process::Command::new("true").spawn().expect("true");
        let pid = child.id();
        child.wait().expect("its end");
        let mut found = false;
        for _ in 0..100 {
            instance
                .wait(&signals, Duration::from_millis(100))
                .expect("to wait");
            let seen = instance.read(|line| found |= line.pid == pid && line.comm == b"true");
            seen.expect("events");
            if found {
                break;
            }
        }
        assert!(found);
        drop(instance);
        assert!(!dir.exists());
    }
}
