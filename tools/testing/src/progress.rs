// SPDX-License-Identifier: GPL-2.0
//! The machine's own progress, for limits of time that a busy host does not pass.
//!
//! In a guest of `tools/vm/run` the host tells in a small disk how long it has let the guest run.
//! Anywhere else the clock counts.

use std::fs::{File, OpenOptions};
use std::os::unix::fs::{FileExt as _, OpenOptionsExt as _};
use std::time::{Duration, Instant};

/// The disk: a number of seconds as text, in one sector.
const DISK: &str = "/dev/progress";
/// The host changes it once in this time.
const INTERVAL: Duration = Duration::from_secs(1);

#[repr(align(512))]
struct Sector([u8; 512]);

/// A clock of what the machine got done.
#[derive(Debug)]
pub struct Progress {
    disk: Option<File>,
    last: Duration,
    read: Instant,
}

impl Progress {
    /// Begins to look at it.
    pub fn new() -> Self {
        // Not from the page cache, where it would never change.
        let disk = OpenOptions::new()
            .read(true)
            .custom_flags(libc::O_DIRECT)
            .open(DISK);
        let mut progress = Self {
            disk: disk.ok(),
            last: Duration::ZERO,
            read: Instant::now(),
        };
        progress.last = progress.told().unwrap_or_default();
        progress
    }

    /// The progress up to now, from some point in the past. What it says may be a second old.
    pub fn now(&mut self) -> Duration {
        let passed = self.read.elapsed();
        if self.disk.is_none() {
            return passed;
        }
        if passed >= INTERVAL {
            self.read = Instant::now();
            // Where it cannot be read for once, the clock counts.
            self.last = self.told().unwrap_or(self.last + passed).max(self.last);
        }
        self.last
    }

    fn told(&self) -> Option<Duration> {
        let mut sector = Sector([0; 512]);
        self.disk.as_ref()?.read_exact_at(&mut sector.0, 0).ok()?;
        let text = std::str::from_utf8(&sector.0).ok()?;
        text.trim().parse().ok().map(Duration::from_secs)
    }
}

impl Default for Progress {
    fn default() -> Self {
        Self::new()
    }
}

/// A limit on progress.
#[derive(Debug)]
pub struct Patience {
    progress: Progress,
    time: Duration,
    end: Duration,
}

impl Patience {
    /// One that lasts for `time`, from now on.
    pub fn new(time: Duration) -> Self {
        let mut progress = Progress::new();
        let end = progress.now() + time;
        Self {
            progress,
            time,
            end,
        }
    }

    /// Whether it is at its end.
    pub fn is_over(&mut self) -> bool {
        self.progress.now() >= self.end
    }

    /// Begins again.
    pub fn renew(&mut self) {
        self.end = self.progress.now() + self.time;
    }
}
