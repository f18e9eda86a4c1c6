// SPDX-License-Identifier: GPL-2.0
//! The layers of the benchmark: lower ones that both types share, upper ones of their own.

use std::cell::Cell;
use std::path::{Path, PathBuf};

use rovl_testing::mount::{Mounted, Request};
use rovl_testing::ops::{ok, pattern, write};

/// Numbers of lower layers that are measured.
pub const LAYERS: [usize; 3] = [1, 10, 100];
/// Directory in which the files of the deep tree are.
pub const DEEP: &str = "one/two/three/four/five/six";
/// Files in the deep directory, in the lowest layer.
pub const FILES: usize = 50;
/// Names in the large directory, half of them in each of two layers.
pub const ENTRIES: usize = 10_000;
/// Size of small reads, writes and files.
pub const SMALL: usize = 4096;
/// Size of the large file.
pub const LARGE: usize = 64 << 20;
/// Small files that are copied up in one round.
pub const COPIES: usize = 50;

/// Mounts of the same lower layers, one for each side.
pub struct Pair {
    lowers: Vec<PathBuf>,
    dir: PathBuf,
    types: [String; 2],
    mounts: [Mounted; 2],
    fresh: Cell<usize>,
}

/// All mounts.
pub struct Trees {
    deep: Vec<Pair>,
    wide: Pair,
    data: Pair,
}

impl Pair {
    fn new(dir: &Path, lowers: Vec<PathBuf>, types: &[String; 2]) -> Self {
        let mounts =
            [0, 1].map(|side| mount(&dir.join(format!("side{side}")), &lowers, &types[side]));
        Self {
            lowers,
            dir: dir.to_owned(),
            types: types.clone(),
            mounts,
            fresh: Cell::new(0),
        }
    }

    /// Root of the mount of one side.
    pub fn root(&self, side: usize) -> &Path {
        self.mounts[side].root()
    }

    /// A name that was never used before.
    pub fn fresh_name(&self) -> String {
        let number = self.fresh.get();
        self.fresh.set(number + 1);
        format!("fresh{number}")
    }

    /// A mount of the same lower layers with an empty upper layer.
    pub fn with_empty_upper(&self, side: usize) -> (Mounted, PathBuf) {
        let dir = self.dir.join(self.fresh_name());
        (mount(&dir, &self.lowers, &self.types[side]), dir)
    }
}

fn mount(dir: &Path, lowers: &[PathBuf], kind: &str) -> Mounted {
    let place = |name: &str| {
        let path = dir.join(name);
        ok(std::fs::create_dir_all(&path));
        path
    };
    let request = lowers
        .iter()
        .fold(Request::new(kind), |request, lower| {
            request.set("lowerdir+", lower)
        })
        .set("upperdir", place("upper"))
        .set("workdir", place("work"));
    match request.mount(&place("merged")) {
        Ok(mounted) => mounted,
        Err(refused) => panic!("mount of {kind}: {}", refused.describe()),
    }
}

impl Trees {
    /// Makes all layers below `base` and mounts them.
    pub fn new(base: &Path, types: &[String; 2]) -> Self {
        Self {
            deep: LAYERS
                .iter()
                .map(|count| deep(base, *count, types))
                .collect(),
            wide: wide(base, types),
            data: data(base, types),
        }
    }

    /// Mounts of the deep tree with `LAYERS[index]` lower layers.
    pub fn deep(&self, index: usize) -> &Pair {
        &self.deep[index]
    }

    /// Mounts with the large merged directory `wide`.
    pub fn wide(&self) -> &Pair {
        &self.wide
    }

    /// Mounts with the files to read and copy.
    pub fn data(&self) -> &Pair {
        &self.data
    }
}

fn layers(base: &Path, name: &str, count: usize) -> (PathBuf, Vec<PathBuf>) {
    let dir = base.join(name);
    let lowers: Vec<PathBuf> = (0..count).map(|n| dir.join(format!("lower{n}"))).collect();
    for lower in &lowers {
        ok(std::fs::create_dir_all(lower));
    }
    (dir, lowers)
}

/// The directories are in every layer, the files in the lowest.
fn deep(base: &Path, count: usize, types: &[String; 2]) -> Pair {
    let (dir, lowers) = layers(base, &format!("deep{count}"), count);
    for lower in &lowers {
        ok(std::fs::create_dir_all(lower.join(DEEP)));
    }
    for n in 0..FILES {
        write(
            lowers[count - 1].join(DEEP).join(format!("file{n}")),
            "content",
        );
    }
    Pair::new(&dir, lowers, types)
}

fn wide(base: &Path, types: &[String; 2]) -> Pair {
    let (dir, lowers) = layers(base, "wide", 2);
    for (half, lower) in lowers.iter().enumerate() {
        ok(std::fs::create_dir_all(lower.join("wide")));
        for n in 0..ENTRIES / 2 {
            write(lower.join(format!("wide/entry-{half}-{n:05}")), "");
        }
    }
    Pair::new(&dir, lowers, types)
}

fn data(base: &Path, types: &[String; 2]) -> Pair {
    let (dir, lowers) = layers(base, "data", 2);
    for lower in &lowers {
        ok(std::fs::create_dir_all(lower.join("dir")));
    }
    write(lowers[1].join("small"), pattern(SMALL, 1));
    write(lowers[1].join("large"), pattern(LARGE, 2));
    for n in 0..COPIES {
        write(
            lowers[1].join(format!("dir/copy{n}")),
            pattern(SMALL, n as u64),
        );
    }
    Pair::new(&dir, lowers, types)
}
