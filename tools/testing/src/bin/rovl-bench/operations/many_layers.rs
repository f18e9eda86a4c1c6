// SPDX-License-Identifier: GPL-2.0
//! Names that are in no layer, or in the lowest of many, and directories that are read again.

use std::path::{Path, PathBuf};

use rovl_testing::dirent;
use rovl_testing::mount::Mounted;
use rovl_testing::ops::{ok, rename, unlink};
use rustix::fs::{OFlags, CWD};
use rustix::io::Errno;

use super::directories::entries;
use super::{drop_caches, numbered, once_each, timed, Operation, Taken};
use crate::tree::{Pair, Trees, ENTRIES, LOWEST, MANY};

/// Names that are missed in one round.
const MISSES: usize = 2_000;

/// The same where dentries of the layers for all of them are there.
const WARM: usize = MISSES;

type Run = fn(&Pair, usize) -> Taken;

/// What is measured, how often, and what the ratio may be at most for each of [`MANY`].
type Row = (&'static str, usize, Run, [f64; MANY.len()]);

const ROWS: [Row; 4] = [
    (
        "first misses in one directory, ext4, nothing cached",
        MISSES,
        cold,
        [0.10, 0.50],
    ),
    (
        "first misses in one directory, ext4, known below",
        WARM,
        warm,
        [0.25, 1.00],
    ),
    (
        "names of the lowest layer, ext4, nothing cached",
        LOWEST,
        lowest,
        [0.15, 1.00],
    ),
    (
        "create, rename and unlink",
        MISSES / 10,
        change,
        [0.60, 1.00],
    ),
];

pub fn all() -> Vec<Operation> {
    let mut all = Vec::new();
    for (index, (layers, _)) in MANY.into_iter().enumerate() {
        for (what, count, run, limits) in ROWS {
            let name = format!("{what}, {layers} layers");
            let run = move |trees: &Trees, side, _count| run(trees.many(index), side);
            all.push(Operation::new("many layers", name, count, run).at_most(limits[index]));
        }
    }
    let name = format!("list {ENTRIES} entries, merged, in-tree the directory of a layer");
    all.push(Operation::new("directory", name, 1, bare).at_most(1.00));
    all
}

fn missing(paths: &[PathBuf]) -> Taken {
    once_each(paths, |path| {
        assert_eq!(rustix::fs::stat(path).err(), Some(Errno::NOENT));
    })
}

/// A mount that nothing is known of.
pub fn fresh(pair: &Pair, side: usize, run: impl FnOnce(&Mounted) -> Taken) -> Taken {
    let (mounted, dir) = pair.with_empty_upper(side);
    ok(rustix::fs::stat(mounted.path("many")));
    let taken = run(&mounted);
    mounted.unmount();
    ok(std::fs::remove_dir_all(dir));
    taken
}

pub fn cold(pair: &Pair, side: usize) -> Taken {
    fresh(pair, side, |mounted| cold_in(&mounted.path("many")))
}

pub fn cold_in(dir: &Path) -> Taken {
    drop_caches();
    ok(rustix::fs::stat(dir));
    missing(&numbered(dir, "missing", MISSES))
}

fn warm(pair: &Pair, side: usize) -> Taken {
    for lower in pair.lowers() {
        missing(&numbered(&lower.join("many"), "missing", WARM));
    }
    let taken = fresh(pair, side, |mounted| {
        missing(&numbered(&mounted.path("many"), "missing", WARM))
    });
    drop_caches();
    taken
}

pub fn lowest(pair: &Pair, side: usize) -> Taken {
    fresh(pair, side, |mounted| lowest_in(&mounted.path("many")))
}

pub fn lowest_in(dir: &Path) -> Taken {
    drop_caches();
    ok(rustix::fs::stat(dir));
    once_each(&numbered(dir, "lowest", LOWEST), |path| {
        ok(rustix::fs::stat(path));
    })
}

pub fn change(pair: &Pair, side: usize) -> Taken {
    fresh(pair, side, |mounted| change_in(&mounted.path("many")))
}

pub fn change_in(dir: &Path) -> Taken {
    let warm = dir.join("warm");
    ok(std::fs::write(&warm, ""));
    unlink(&warm);
    once_each(&numbered(dir, "new", MISSES / 10), |path| {
        let flags = OFlags::CREATE | OFlags::EXCL | OFlags::WRONLY;
        drop(ok(rustix::fs::openat(CWD, path, flags, 0o644.into())));
        let other = path.with_extension("other");
        rename(path, &other);
        unlink(&other);
    })
}

/// The second reading of a directory: a merged one, and on the side of the in-tree module that of a file
/// system with as many names.
fn bare(trees: &Trees, side: usize, count: usize) -> Taken {
    let pair = trees.wide();
    let path = if pair.kind(side) == "overlay" {
        pair.lowers()[1].join("lower")
    } else {
        pair.root(side).join("merged")
    };
    let list = || assert_eq!(entries(&dirent::open(&path)), ENTRIES + 2);
    list();
    timed(count, |_| list())
}
