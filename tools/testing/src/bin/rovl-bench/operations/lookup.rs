// SPDX-License-Identifier: GPL-2.0
//! Finding and opening a file, or not, through many lower layers.

use std::path::PathBuf;

use rovl_testing::ops::{ok, open_read};
use rustix::fs::{OFlags, CWD};
use rustix::io::Errno;

use super::{drop_caches, in_turn, numbered, once_each, Kind, Operation, Taken};
use crate::tree::{Pair, DEEP, FILES, LAYERS};

type Run = fn(&Pair, usize, usize) -> Taken;

pub fn all() -> Vec<Operation> {
    let kinds: [Kind<Run>; 7] = [
        ("stat", 500, stat_hit),
        ("stat, nothing cached", 50, stat_hit_cold),
        ("stat of a missing name", 500, stat_miss),
        ("stat of a missing name, new", 100, stat_miss_new),
        ("open and close", 500, open_hit),
        ("open and close, nothing cached", 50, open_hit_cold),
        ("open of a missing name, new", 100, open_miss_new),
    ];
    let mut all = Vec::new();
    for (index, count) in LAYERS.into_iter().enumerate() {
        for (what, repetitions, run) in kinds {
            all.push(Operation::new(
                "lookup",
                format!("{what}, {count} layers"),
                repetitions,
                move |trees, side, count| run(trees.deep(index), side, count),
            ));
        }
    }
    all
}

fn files(pair: &Pair, side: usize) -> Vec<PathBuf> {
    numbered(&pair.root(side).join(DEEP), "file", FILES)
}

/// Names that no lookup has met, so that each is looked for in every layer.
///
/// They leave a dentry in each layer. Those of before are dropped, so that the second type does not
/// find the allocator in another state than the first.
fn new_names(pair: &Pair, side: usize, count: usize) -> Vec<PathBuf> {
    drop_caches();
    let dir = pair.root(side).join(DEEP);
    ok(rustix::fs::stat(&dir));
    (0..count).map(|_| dir.join(pair.fresh_name())).collect()
}

fn stat_hit(pair: &Pair, side: usize, count: usize) -> Taken {
    in_turn(&files(pair, side), count, |path| {
        ok(rustix::fs::stat(path));
    })
}

fn stat_hit_cold(pair: &Pair, side: usize, count: usize) -> Taken {
    let mut paths = files(pair, side);
    paths.truncate(count);
    drop_caches();
    once_each(&paths, |path| {
        ok(rustix::fs::stat(path));
    })
}

fn stat_miss(pair: &Pair, side: usize, count: usize) -> Taken {
    let paths = numbered(&pair.root(side).join(DEEP), "missing", FILES);
    in_turn(&paths, count, |path| {
        assert_eq!(rustix::fs::stat(path).err(), Some(Errno::NOENT));
    })
}

fn stat_miss_new(pair: &Pair, side: usize, count: usize) -> Taken {
    once_each(&new_names(pair, side, count), |path| {
        assert_eq!(rustix::fs::stat(path).err(), Some(Errno::NOENT));
    })
}

fn open_hit(pair: &Pair, side: usize, count: usize) -> Taken {
    in_turn(&files(pair, side), count, |path| drop(open_read(path)))
}

fn open_hit_cold(pair: &Pair, side: usize, count: usize) -> Taken {
    let mut paths = files(pair, side);
    paths.truncate(count);
    drop_caches();
    once_each(&paths, |path| drop(open_read(path)))
}

fn open_miss_new(pair: &Pair, side: usize, count: usize) -> Taken {
    once_each(&new_names(pair, side, count), |path| {
        let opened = rustix::fs::openat(CWD, path, OFlags::RDONLY, 0.into());
        assert_eq!(opened.err(), Some(Errno::NOENT));
    })
}
