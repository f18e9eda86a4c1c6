// SPDX-License-Identifier: GPL-2.0
//! Disks whose requests and flushes cost time.
//!
//! They are in memory (`null_blk`), and answer each request, and each flush of their cache, after a
//! time that a timer of the guest's own kernel measures. So that time is exact where the clock counts
//! instructions, too, and a run gives the same twice: QEMU's throttling goes by the host's clock, and
//! `dm-delay` by ticks of four milliseconds. Like a virtio disk they have a cache that forgets, and no
//! way to write past it (FUA): a commit that wants to be durable flushes before its last block and after it.

use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::mount::{mount, MountFlags};

use crate::block::{load_module, make_filesystem, mount_device};
use crate::case::skip;
use crate::mount::Mounted;
use crate::ops::{self, ok};

/// Where disks are configured.
const CONFIG: &str = "/sys/kernel/config/nullb";
/// Completion by a timer.
const TIMER: &str = "2";

/// A disk with what a request to it costs.
#[derive(Debug)]
pub struct SlowDisk {
    name: String,
}

impl SlowDisk {
    /// Makes the disk `/dev/NAME` of so many MiB, of which each request and each flush takes `latency`.
    /// What is written to it takes memory. Ignores the test where the kernel has no `null_blk`.
    pub fn new(name: &str, mebibytes: u64, latency: Duration) -> Self {
        // Its parameter keeps it from making a disk of its own.
        let loaded = std::process::Command::new("modprobe")
            .args(["--quiet", "null_blk", "nr_devices=0"])
            .status();
        if !loaded.is_ok_and(|status| status.success()) {
            skip("the kernel has no null_blk");
        }
        if !Path::new(CONFIG).is_dir() {
            load_module("configfs");
            let (target, none) = ("/sys/kernel/config", MountFlags::empty());
            ok(mount("none", target, "configfs", none, None));
        }
        let this = Self {
            name: name.to_owned(),
        };
        ok(std::fs::create_dir(this.config("")));
        for (key, value) in [
            ("size", mebibytes.to_string()),
            ("memory_backed", "1".to_owned()),
            ("cache_size", mebibytes.to_string()),
            ("fua", "0".to_owned()),
            ("irqmode", TIMER.to_owned()),
            ("completion_nsec", latency.as_nanos().to_string()),
            ("blocksize", "512".to_owned()),
            ("power", "1".to_owned()),
        ] {
            ops::write(this.config(key), value);
        }
        this
    }

    fn config(&self, key: &str) -> PathBuf {
        Path::new(CONFIG).join(&self.name).join(key)
    }

    /// The device node.
    pub fn path(&self) -> PathBuf {
        Path::new("/dev").join(&self.name)
    }

    /// How many requests, and how many flushes, the disk has done.
    pub fn done(&self) -> Done {
        Done::of(&self.name)
    }

    /// Makes a file system and mounts it at `target`, which is made. It is quiet: nothing is initialized
    /// later on.
    pub fn mount(&self, kind: &str, options: &[&str], target: &Path) -> Mounted {
        self.mount_with(kind, options, target, "")
    }

    /// The same with options of the mount.
    pub fn mount_with(
        &self,
        kind: &str,
        options: &[&str],
        target: &Path,
        mounted: &str,
    ) -> Mounted {
        let mut all = match kind {
            "ext4" => vec![
                "-q",
                "-F",
                "-E",
                "lazy_itable_init=0,lazy_journal_init=0,nodiscard",
            ],
            "xfs" => vec!["-q", "-f", "-K"],
            _ => Vec::new(),
        };
        all.extend(options);
        make_filesystem(kind, &all, &self.path());
        mount_device(kind, &self.path(), target, mounted)
    }
}

impl Drop for SlowDisk {
    fn drop(&mut self) {
        // A failure is not reported: the test may be failing already.
        let _ = std::fs::write(self.config("power"), "0");
        let _ = std::fs::remove_dir(self.config(""));
    }
}

/// What a block device has done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Done {
    /// Writes.
    pub writes: u64,
    /// Flushes of its cache.
    pub flushes: u64,
}

impl Done {
    /// By the statistics of the block device `name`.
    pub fn of(name: &str) -> Self {
        let text = ops::read(Path::new("/sys/block").join(name).join("stat"));
        let text = String::from_utf8_lossy(&text);
        let field = |number: usize| {
            let mut fields = text.split_whitespace().skip(number);
            fields.next().and_then(|field| field.parse().ok())
        };
        Self {
            writes: field(4).unwrap_or_default(),
            flushes: field(15).unwrap_or_default(),
        }
    }

    /// What was done since `before`.
    pub fn since(self, before: Self) -> Self {
        Self {
            writes: self.writes - before.writes,
            flushes: self.flushes - before.flushes,
        }
    }
}
