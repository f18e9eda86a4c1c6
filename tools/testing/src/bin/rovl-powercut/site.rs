// SPDX-License-Identifier: GPL-2.0
//! A disk with the layers of an overlay, and the work on it that is cut off.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use fastrand::Rng;
use rovl_testing::block::{make_filesystem, mount_device};
use rovl_testing::mount::{reconfigure, Refused};
use rovl_testing::ops::ok;
use rovl_testing::{Dir, Mounted, Request};
use rustix::mount::{unmount, UnmountFlags};

use crate::live;
use crate::operation::Operation;
use crate::plan;
use crate::scenario::Scenario;

/// Bytes of a disk.
pub const SIZE: u64 = 64 << 20;
/// The file system below, and how it is made: as small as may be, since disks are copied often.
const BELOW: [(&str, &[&str]); 3] = [
    ("ext4", &["-q", "-F", "-b", "4096", "-J", "size=4"]),
    (
        "xfs",
        &["-q", "-f", "-K", "--unsupported", "-l", "size=13m"],
    ),
    ("btrfs", &["-q", "-f", "-K", "--mixed", "-m", "single"]),
];
/// How an xfs is made whose files do not share data. Its log has to be larger.
const XFS_WITHOUT_SHARING: &[&str] = &[
    "-q",
    "-f",
    "-K",
    "--unsupported",
    "-l",
    "size=4060b",
    "-m",
    "reflink=0",
];
/// Data of somebody else's, and how many places it has.
const FOREIGN: [u8; 16 << 10] = [1; 16 << 10];
const FOREIGN_PLACES: u64 = 64;
/// Longest time between two commits by somebody else on the same file system, in microseconds.
const LONGEST_PAUSE: u64 = 8000;

/// The file system of a disk, mounted.
pub struct Site<'a> {
    root: PathBuf,
    scenario: &'a Scenario,
    below: Mounted,
}

/// Stops the other thread at its end, however that comes.
struct End<'a>(&'a AtomicBool);

impl Drop for End<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// The file systems that `scenario` is run on. On btrfs it is syncs alone that the overlay does in its own way.
pub fn below(scenario: &Scenario) -> impl Iterator<Item = &'static str> {
    let at_syncs = scenario.at_syncs;
    let kinds = BELOW.into_iter().map(|(kind, _)| kind);
    kinds.filter(move |kind| at_syncs || *kind != "btrfs")
}

/// Makes a file system for `scenario` on `device`.
pub fn make(below: &str, device: &Path, scenario: &Scenario) {
    for (kind, options) in BELOW {
        if kind == below {
            let options = match kind {
                "xfs" if scenario.copies_data() => XFS_WITHOUT_SHARING,
                _ => options,
            };
            make_filesystem(kind, options, device);
        }
    }
}

impl<'a> Site<'a> {
    /// Mounts `device` at `root`.
    pub fn new(device: &Path, below: &str, root: &Path, scenario: &'a Scenario) -> Self {
        // Whatever ext4 finds wrong is a fault of this program, and nothing to go on with.
        let options = match below {
            "ext4" => "errors=panic",
            // Written by a thread of its own.
            "btrfs" => "compress-force=zstd",
            _ => "",
        };
        Self {
            root: root.to_owned(),
            scenario,
            below: mount_device(below, device, root, options),
        }
    }

    /// Where the layers are.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// The loop that runs on it.
    pub fn scenario(&self) -> &'a Scenario {
        self.scenario
    }

    /// A layer, the work directory or the mount point.
    pub fn part(&self, name: &str) -> PathBuf {
        self.root.join(name)
    }

    /// Makes the layers.
    pub fn populate(&self) {
        for part in ["top", "bottom", "upper", "work", "merged"] {
            ok(std::fs::create_dir_all(self.part(part)));
        }
        let (top, bottom) = (self.part("top"), self.part("bottom"));
        plan::populate(&Dir::at(&top), &Dir::at(&bottom), self.scenario);
    }

    /// Mounts the overlay; `again` is the mount after a cut.
    pub fn mount(&self, kind: &str, again: bool) -> Result<Mounted, Refused> {
        let layers = format!(
            "{}:{}",
            self.part("top").display(),
            self.part("bottom").display()
        );
        if self.scenario.is_live {
            let options = self.scenario.options.iter();
            let options = options.map(|(key, value)| format!(",{key}={value}"));
            let dirs = format!(
                "lowerdir={layers},upperdir={},workdir={}",
                self.part("upper").display(),
                self.part("work").display()
            );
            let first = (!again).then(|| dirs + &options.collect::<String>());
            return live::mount(&self.root, kind, first);
        }
        let mut request = Request::new(kind)
            .set("lowerdir", layers)
            .set("upperdir", self.part("upper"))
            .set("workdir", self.part("work"));
        for (key, value) in self.scenario.options {
            let value = if again && *value == "volatile" {
                "auto"
            } else {
                value
            };
            request = request.set(key, value);
        }
        Ok(request.mount(&self.part("merged"))?.unchecked())
    }

    /// Does the operations below `root`, the mount of an overlay of type `kind`, with `tell` told of the
    /// begin and the end of each, while somebody else commits the file system at any moment, or writes to
    /// it and syncs nothing where that is what the overlay has to do. Gives the first error.
    pub fn work(
        &self,
        kind: &str,
        root: &Path,
        operations: &[Operation],
        tell: impl Fn(&str, usize),
    ) -> Result<(), String> {
        let stop = AtomicBool::new(false);
        std::thread::scope(|scope| {
            let _end = End(&stop);
            scope.spawn(|| match self.scenario.at_syncs {
                true => self.write_often(&stop),
                false => self.commit_often(&stop),
            });
            operations
                .iter()
                .enumerate()
                .try_for_each(|(n, operation)| {
                    tell("begin", n);
                    let result = operation.apply(root).map_err(|error| error.to_string());
                    let result = result.and_then(|()| self.end_mount(operation, root));
                    tell("end", n);
                    let result = result.and_then(|()| self.begin_mount(kind, operation, root));
                    result.map_err(|error| format!("operation {n}, {operation:?}: {error}"))
                })
        })
    }

    /// What of an operation on the mount itself makes it durable.
    fn end_mount(&self, operation: &Operation, root: &Path) -> Result<(), String> {
        match operation {
            Operation::Remount => remount(root, "ro"),
            Operation::Unmount => {
                unmount(root, UnmountFlags::empty()).map_err(|error| error.to_string())
            }
            operation if operation.changes_layers() => live::change(&self.root, operation, "s"),
            _ => Ok(()),
        }
    }

    /// What comes after that.
    fn begin_mount(&self, kind: &str, operation: &Operation, root: &Path) -> Result<(), String> {
        match operation {
            Operation::Remount => remount(root, "rw"),
            Operation::Unmount => match self.mount(kind, false) {
                // Whoever has made the first one unmounts it.
                Ok(mounted) => {
                    std::mem::forget(mounted);
                    Ok(())
                }
                Err(refused) => Err(refused.describe()),
            },
            _ => Ok(()),
        }
    }

    /// Writes data, and makes and removes names, and syncs nothing.
    fn write_often(&self, stop: &AtomicBool) {
        let dir = self.part("others");
        let _ = std::fs::create_dir_all(&dir);
        let mut rng = Rng::new();
        while !stop.load(Ordering::Relaxed) {
            let path = dir.join(rng.u8(..8).to_string());
            if rng.u8(..4) == 0 {
                let _ = std::fs::remove_file(path);
            } else {
                // Where there is no space, there is enough to be left alone.
                let _ = std::fs::write(path, vec![1; rng.usize(..300_000)]);
            }
            std::thread::sleep(Duration::from_micros(rng.u64(..LONGEST_PAUSE)));
        }
    }

    /// Commits often, and writes data that nobody asks to be on the disk: as somebody else does.
    fn commit_often(&self, stop: &AtomicBool) {
        let file = ok(File::create(self.part("other")));
        let foreign = ok(File::create(self.part("foreign")));
        let mut rng = Rng::new();
        let mut count = 0u64;
        while !stop.load(Ordering::Relaxed) {
            count += 1;
            ok(file.write_all_at(&count.to_le_bytes(), 0));
            let place = rng.u64(..FOREIGN_PLACES) * FOREIGN.len() as u64;
            ok(foreign.write_all_at(&FOREIGN, place));
            ok(file.sync_all());
            std::thread::sleep(Duration::from_micros(rng.u64(..LONGEST_PAUSE)));
        }
    }

    /// Unmounts the file system.
    pub fn unmount(self) {
        self.below.unmount();
    }
}

fn remount(root: &Path, flag: &str) -> Result<(), String> {
    reconfigure(root, &[flag], &[]).map_err(|refused| refused.describe())
}
