// SPDX-License-Identifier: GPL-2.0
//! Syncs of an overlay, with small files that are dirty and without, beside what others have written to
//! the upper file system and what nobody has asked to be written.

use std::path::{Path, PathBuf};
use std::time::Instant;

use rovl_testing::ops::{ok, open_read, open_write, read, write};
use rovl_testing::Mounted;
use rustix::fs::syncfs;
use rustix::mount::{unmount, UnmountFlags};

use super::{Operation, Taken};
use crate::tree::slow::{self, Slow};
use crate::tree::Trees;

/// Small files.
const FILES: usize = 200;
const SIZE: usize = 8192;
/// What others have written: as much as the guest's memory has room for.
const FOREIGN: usize = 384 << 20;
/// The kernel does not write of its own accord, so that both types meet as much.
const QUIET: [(&str, &str); 4] = [
    ("dirty_ratio", "90"),
    ("dirty_background_ratio", "80"),
    ("dirty_writeback_centisecs", "0"),
    ("dirty_expire_centisecs", "360000"),
];

/// How a sync is asked for.
#[derive(Clone, Copy, PartialEq)]
enum How {
    Syncfs,
    Unmount,
}

pub fn all() -> Vec<Operation> {
    let mut all = Vec::new();
    for (index, fs) in slow::KINDS.into_iter().enumerate() {
        for (how, called) in [(How::Syncfs, "syncfs"), (How::Unmount, "umount")] {
            for (files, what, limit) in [
                (FILES, "200 small dirty files", 0.05),
                (0, "nothing changed", 0.02),
            ] {
                let name = format!("{called}, {what}, beside 384 MiB of others, {fs}");
                let run =
                    move |trees: &Trees, side, _count| one(trees.slow(index), side, how, files);
                all.push(Operation::new("sync", name, 1, run).at_most(limit));
            }
        }
    }
    all
}

/// Values of `/proc/sys/vm` while this is there.
struct Quiet(Vec<(PathBuf, Vec<u8>)>);

impl Quiet {
    fn new() -> Self {
        let set = QUIET.map(|(name, value)| {
            let path = Path::new("/proc/sys/vm").join(name);
            let before = read(&path);
            ok(std::fs::write(&path, value));
            (path, before)
        });
        Self(set.into())
    }
}

impl Drop for Quiet {
    fn drop(&mut self) {
        for (path, value) in &self.0 {
            let _ = std::fs::write(path, value);
        }
    }
}

fn one(slow: &Slow, side: usize, how: How, files: usize) -> Taken {
    let _quiet = Quiet::new();
    let (mounted, place) = slow.pair().with_empty_upper(side);
    slow.settle();
    let foreign = place.join("foreign");
    let chunk = vec![side as u8 + 1; 1 << 20];
    write(&foreign, "");
    let file = open_write(&foreign);
    for _ in 0..FOREIGN / chunk.len() {
        ok(rustix::io::write(&file, &chunk));
    }
    drop(file);
    for n in 0..files {
        write(mounted.path(format!("f{n}")), &chunk[..SIZE]);
    }
    let taken = by_clock(mounted, how);
    ok(std::fs::remove_dir_all(place));
    slow.settle();
    taken
}

/// All time counts: it is spent on the disk.
fn by_clock(mounted: Mounted, how: How) -> Taken {
    let root = open_read(mounted.root());
    let target = mounted.root().to_owned();
    let start = Instant::now();
    let time = match how {
        How::Syncfs => {
            ok(syncfs(&root));
            let time = start.elapsed();
            drop(root);
            mounted.unmount();
            time
        }
        How::Unmount => {
            drop(root);
            ok(unmount(target, UnmountFlags::empty()));
            std::mem::forget(mounted);
            start.elapsed()
        }
    };
    Taken { time, count: 1 }
}
