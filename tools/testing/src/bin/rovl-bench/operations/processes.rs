// SPDX-License-Identifier: GPL-2.0
//! Two processes at once. With one processor this shows the cost of changing between them, with two
//! how much they wait for each other.

use std::ffi::CString;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::time::Instant;

use rovl_testing::caller::{fork, status};
use rovl_testing::dirent;
use rovl_testing::ops::ok;
use rustix::fs::{OFlags, CWD};
use rustix::io::Errno;

use super::directories::entries;
use super::timed_by_clock;
use super::{numbered, Kind, Operation, Plain, Taken};
use crate::tree::{Fs, Trees, DEEP, FILES, HUGE};

pub fn all() -> Vec<Operation> {
    let kinds: [Kind<Plain>; 6] = [
        ("create and unlink in one directory", 200, one_directory),
        ("create and unlink in two directories", 200, two_directories),
        ("stat in one directory", 1000, stat_one),
        ("list one directory", 20, list_one),
        ("list 100000 merged names, one process", 3, list_huge_alone),
        ("list 100000 merged names", 3, list_huge),
    ];
    kinds
        .into_iter()
        .map(|(name, count, run)| Operation::new("two processes", name, count, run))
        .collect()
}

fn c_paths(paths: Vec<PathBuf>) -> Vec<CString> {
    paths
        .into_iter()
        .map(|path| ok(CString::new(path.as_os_str().as_bytes())))
        .collect()
}

/// Forks two children that do `body` with the numbers below `count`, and waits for them.
fn in_two(count: usize, body: impl Fn(usize, usize) -> Result<(), Errno>) -> Taken {
    let start = Instant::now();
    let children = [0, 1].map(|child| fork(|| status((0..count).try_for_each(|n| body(child, n)))));
    for child in children {
        assert_eq!(child.wait().exit_status(), Some(0), "a child failed");
    }
    Taken {
        time: start.elapsed(),
        count: 2 * count,
    }
}

fn create_unlink(dirs: [&Path; 2], count: usize) -> Taken {
    let paths = [0, 1].map(|child| c_paths(numbered(dirs[child], &format!("child{child}-"), 50)));
    in_two(count, |child, n| {
        let path = &paths[child][n % 50];
        let flags = OFlags::CREATE | OFlags::EXCL | OFlags::WRONLY;
        drop(rustix::fs::openat(CWD, path, flags, 0o644.into())?);
        rustix::fs::unlink(path)
    })
}

fn one_directory(trees: &Trees, side: usize, count: usize) -> Taken {
    let dir = trees.data(Fs::Tmpfs).root(side).join("dir");
    create_unlink([&dir, &dir], count)
}

fn two_directories(trees: &Trees, side: usize, count: usize) -> Taken {
    let root = trees.data(Fs::Tmpfs).root(side);
    create_unlink([&root.join("dir"), &root.join("dir2")], count)
}

fn stat_one(trees: &Trees, side: usize, count: usize) -> Taken {
    let paths = c_paths(numbered(
        &trees.deep(0).root(side).join(DEEP),
        "file",
        FILES,
    ));
    in_two(count, |_child, n| {
        rustix::fs::stat(&paths[n % FILES]).map(|_| ())
    })
}

fn list_one(trees: &Trees, side: usize, count: usize) -> Taken {
    let path = c_paths(vec![trees.wide().root(side).join("few/merged")]);
    let list = |_child, _n| {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY;
        let dir = rustix::fs::openat(CWD, &path[0], flags, 0.into())?;
        let mut buffer = [std::mem::MaybeUninit::uninit(); 4096];
        let mut entries = rustix::fs::RawDir::new(&dir, &mut buffer);
        while let Some(entry) = entries.next() {
            entry?;
        }
        Ok(())
    };
    in_two(1, list);
    in_two(count, list)
}

fn list_huge(trees: &Trees, side: usize, count: usize) -> Taken {
    let path = trees.huge().root(side).join("huge");
    let list = || assert_eq!(entries(&dirent::open(&path)), HUGE + 2);
    list();
    in_two(count, |_child, _n| {
        list();
        Ok(())
    })
}

/// The same by one process, to compare with.
fn list_huge_alone(trees: &Trees, side: usize, count: usize) -> Taken {
    let path = trees.huge().root(side).join("huge");
    let list = || assert_eq!(entries(&dirent::open(&path)), HUGE + 2);
    list();
    timed_by_clock(count, |_| list())
}
