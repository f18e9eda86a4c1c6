// SPDX-License-Identifier: GPL-2.0
//! What is measured.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rovl_testing::dirent;
use rovl_testing::ops::{ok, open_read, open_write};
use rustix::fs::{OFlags, CWD};
use rustix::io::Errno;

use crate::tree::{Pair, Trees, COPIES, DEEP, ENTRIES, FILES, LAYERS, SMALL};

type Run = Box<dyn Fn(&Trees, usize, usize) -> Duration>;

/// An operation with its name.
pub struct Operation {
    /// Name in the table.
    pub name: String,
    /// How often it is done in one round.
    pub repetitions: usize,
    /// Does it on one side so many times and tells how long that took.
    pub run: Run,
}

/// All operations, in the order of the table.
pub fn all() -> Vec<Operation> {
    let mut all = Vec::new();
    for (index, count) in LAYERS.into_iter().enumerate() {
        let layers = if count == 1 {
            "1 layer".to_owned()
        } else {
            format!("{count} layers")
        };
        let deep = |what: &str, repetitions, run: fn(&Pair, usize, usize) -> Duration| Operation {
            name: format!("{what}, {layers}"),
            repetitions,
            run: Box::new(move |trees, side, count| run(trees.deep(index), side, count)),
        };
        all.push(deep("stat", 1000, stat_hit));
        all.push(deep("stat of a missing name", 300, stat_miss));
        all.push(deep("open and close", 1000, open_hit));
        all.push(deep("open of a missing name", 300, open_miss));
    }
    let other = |name: &str, repetitions, run: fn(&Trees, usize, usize) -> Duration| Operation {
        name: name.to_owned(),
        repetitions,
        run: Box::new(run),
    };
    all.push(other("read 4 KiB", 1000, read));
    all.push(other("write 4 KiB", 1000, write));
    all.push(other("readdir of 10000 merged entries", 2, readdir));
    all.push(other("create and unlink", 200, create_unlink));
    all.push(other("copy-up of 4 KiB", COPIES, copy_up_small));
    all.push(other("copy-up of 64 MiB", 1, copy_up_large));
    all
}

fn timed(body: impl FnOnce()) -> Duration {
    let start = Instant::now();
    body();
    start.elapsed()
}

fn deep_files(pair: &Pair, side: usize) -> Vec<PathBuf> {
    let dir = pair.root(side).join(DEEP);
    (0..FILES).map(|n| dir.join(format!("file{n}"))).collect()
}

/// Names that no lookup has met, so that each is looked for in every layer.
fn missing(pair: &Pair, side: usize, count: usize) -> Vec<PathBuf> {
    let dir = pair.root(side).join(DEEP);
    (0..count).map(|_| dir.join(pair.fresh_name())).collect()
}

fn each(paths: &[PathBuf], count: usize, mut body: impl FnMut(&Path)) {
    for n in 0..count {
        body(&paths[n % paths.len()]);
    }
}

fn stat_hit(pair: &Pair, side: usize, count: usize) -> Duration {
    let paths = deep_files(pair, side);
    timed(|| {
        each(&paths, count, |path| {
            ok(rustix::fs::stat(path));
        });
    })
}

fn stat_miss(pair: &Pair, side: usize, count: usize) -> Duration {
    let paths = missing(pair, side, count);
    timed(|| {
        each(&paths, count, |path| {
            assert_eq!(rustix::fs::stat(path).err(), Some(Errno::NOENT));
        });
    })
}

fn open_hit(pair: &Pair, side: usize, count: usize) -> Duration {
    let paths = deep_files(pair, side);
    timed(|| each(&paths, count, |path| drop(open_read(path))))
}

fn open_miss(pair: &Pair, side: usize, count: usize) -> Duration {
    let paths = missing(pair, side, count);
    timed(|| {
        each(&paths, count, |path| {
            let opened = rustix::fs::openat(CWD, path, OFlags::RDONLY, 0.into());
            assert_eq!(opened.err(), Some(Errno::NOENT));
        });
    })
}

fn read(trees: &Trees, side: usize, count: usize) -> Duration {
    let file = open_read(trees.data().root(side).join("small"));
    let mut buffer = [0u8; SMALL];
    timed(|| {
        for _ in 0..count {
            assert_eq!(ok(rustix::io::pread(&file, &mut buffer, 0)), SMALL);
        }
    })
}

fn write(trees: &Trees, side: usize, count: usize) -> Duration {
    let path = trees.data().root(side).join("written");
    rovl_testing::ops::write(&path, [0u8; SMALL]);
    let file = open_write(&path);
    let buffer = [1u8; SMALL];
    timed(|| {
        for _ in 0..count {
            assert_eq!(ok(rustix::io::pwrite(&file, &buffer, 0)), SMALL);
        }
    })
}

fn readdir(trees: &Trees, side: usize, count: usize) -> Duration {
    let path = trees.wide().root(side).join("wide");
    let mut buffer = vec![std::mem::MaybeUninit::uninit(); 32768];
    timed(|| {
        for _ in 0..count {
            let dir = dirent::open(&path);
            let mut entries = rustix::fs::RawDir::new(&dir, &mut buffer);
            let mut seen = 0;
            while let Some(entry) = entries.next() {
                ok(entry);
                seen += 1;
            }
            assert_eq!(seen, ENTRIES + 2);
        }
    })
}

fn create_unlink(trees: &Trees, side: usize, count: usize) -> Duration {
    let pair = trees.data();
    let dir = pair.root(side).join("dir");
    let paths: Vec<PathBuf> = (0..count).map(|_| dir.join(pair.fresh_name())).collect();
    timed(|| {
        each(&paths, count, |path| {
            let flags = OFlags::CREATE | OFlags::EXCL | OFlags::WRONLY;
            drop(ok(rustix::fs::openat(CWD, path, flags, 0o644.into())));
            ok(rustix::fs::unlink(path));
        });
    })
}

/// Opens each of `names` for writing on a mount whose upper layer is empty.
fn copy_up(trees: &Trees, side: usize, names: &[String]) -> Duration {
    let (mounted, dir) = trees.data().with_empty_upper(side);
    let paths: Vec<PathBuf> = names.iter().map(|name| mounted.path(name)).collect();
    if let Some(parent) = paths.first().and_then(|path| path.parent()) {
        // The parent is copied up and the files are looked up before the time runs.
        ok(std::fs::write(parent.join("warm"), ""));
    }
    for path in &paths {
        ok(rustix::fs::stat(path));
    }
    let taken = timed(|| each(&paths, paths.len(), |path| drop(open_write(path))));
    mounted.unmount();
    ok(std::fs::remove_dir_all(dir));
    taken
}

fn copy_up_small(trees: &Trees, side: usize, count: usize) -> Duration {
    let names: Vec<String> = (0..count.min(COPIES))
        .map(|n| format!("dir/copy{n}"))
        .collect();
    let taken = copy_up(trees, side, &names);
    taken.mul_f64(count as f64 / names.len() as f64)
}

fn copy_up_large(trees: &Trees, side: usize, count: usize) -> Duration {
    (0..count)
        .map(|_| copy_up(trees, side, &["large".to_owned()]))
        .sum()
}
