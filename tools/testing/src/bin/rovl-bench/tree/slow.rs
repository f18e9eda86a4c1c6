// SPDX-License-Identifier: GPL-2.0
//! Upper layers on a disk that costs time.

use std::path::{Path, PathBuf};
use std::time::Duration;

use rovl_testing::ops::{self, ok, open_read, pattern};
use rovl_testing::slow_disk::SlowDisk;
use rovl_testing::Mounted;

use super::{Pair, SLOW_FILES, SLOW_SIZE, TREE_WIDTH};

/// File systems on it.
pub const KINDS: [&str; 2] = ["ext4", "xfs"];
/// What each request to the disk takes, and each flush: about as long as a volume on a network, or a solid
/// state disk without a battery when it flushes.
const LATENCY: Duration = Duration::from_millis(1);
/// Size of the disk in MiB.
const SIZE: u64 = 1024;

/// A file system on such a disk, with mounts whose lower layers are in memory.
pub struct Slow {
    pair: Pair,
    below: Mounted,
    disk: SlowDisk,
}

impl Slow {
    /// Makes the file system `kind`, and the lower layer in `base`.
    pub fn new(kind: &str, base: &Path, types: &[String; 2]) -> Self {
        let disk = SlowDisk::new(&format!("slow-{kind}"), SIZE, LATENCY);
        let below = disk.mount(kind, &[], &Path::new("/tmp").join(format!("slow-{kind}")));
        let lower = base.join(format!("slow-{kind}"));
        for n in 0..SLOW_FILES {
            let dir = lower.join(dir_name(n));
            ok(std::fs::create_dir_all(&dir));
            ops::write(dir.join(format!("file{n}")), pattern(SLOW_SIZE, n as u64));
        }
        let pair = Pair::new(below.root(), vec![lower], types, |_upper| ());
        Self { pair, below, disk }
    }

    /// The mounts.
    pub fn pair(&self) -> &Pair {
        &self.pair
    }

    /// The root of the file system on the disk.
    pub fn root(&self) -> &Path {
        self.below.root()
    }

    /// The disk.
    pub fn disk(&self) -> &SlowDisk {
        &self.disk
    }

    /// Brings all to the disk that was written, so that what is measured next does not pay for it.
    pub fn settle(&self) {
        ok(rustix::fs::syncfs(open_read(self.root())));
    }
}

fn dir_name(number: usize) -> String {
    format!("dir{}", number / TREE_WIDTH)
}

/// The files of the lower layer.
pub fn files(root: &Path) -> Vec<PathBuf> {
    let path = |n| root.join(dir_name(n)).join(format!("file{n}"));
    (0..SLOW_FILES).map(path).collect()
}
