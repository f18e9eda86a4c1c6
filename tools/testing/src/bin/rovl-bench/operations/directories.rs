// SPDX-License-Identifier: GPL-2.0
//! Reading directories and whole trees.

use std::mem::MaybeUninit;
use std::os::fd::OwnedFd;
use std::path::Path;

use rovl_testing::dirent;
use rovl_testing::ops::ok;
use rustix::fs::{AtFlags, FileType, RawDir};

use super::{drop_caches, timed, Operation, Taken};
use crate::tree::{Trees, ENTRIES, FEW, TREE_FILES};

pub fn all() -> Vec<Operation> {
    let mut all = Vec::new();
    for (dir, what) in [
        ("merged", "merged"),
        ("lower", "lower only"),
        ("upper", "upper only"),
    ] {
        let again = Operation::new(
            "directory",
            format!("list {ENTRIES} entries, {what}"),
            1,
            move |trees, side, count| list(trees, side, count, dir, ENTRIES),
        );
        all.push(match dir {
            "merged" => again.at_most(0.25),
            _ => again,
        });
        all.push(Operation::new(
            "directory",
            format!("list {ENTRIES} entries, {what}, nothing cached"),
            1,
            move |trees, side, count| {
                drop_caches();
                once(trees, side, count, dir, ENTRIES)
            },
        ));
        all.push(Operation::new(
            "directory",
            format!("list {FEW} entries, {what}"),
            50,
            move |trees, side, count| list(trees, side, count, &format!("few/{dir}"), FEW),
        ));
    }
    all.push(Operation::new(
        "directory",
        format!("list {ENTRIES} entries, merged, again"),
        1,
        |trees, side, count| {
            // The listing is kept while somebody has the directory open.
            let path = trees.wide().root(side).join("merged");
            let dir = dirent::open(&path);
            assert_eq!(entries(&dir), ENTRIES + 2);
            list(trees, side, count, "merged", ENTRIES)
        },
    ));
    all.push(Operation::new(
        "directory",
        format!("walk a tree of {TREE_FILES} files"),
        1,
        |trees, side, count| {
            find(trees.tree().root(side));
            timed(count, |_| find(trees.tree().root(side)))
        },
    ));
    all.push(Operation::new(
        "directory",
        format!("walk a tree of {TREE_FILES} files, nothing cached"),
        1,
        |trees, side, _count| {
            drop_caches();
            timed(1, |_| find(trees.tree().root(side)))
        },
    ));
    all
}

pub fn entries(dir: &OwnedFd) -> usize {
    let mut buffer = vec![MaybeUninit::uninit(); 32768];
    let mut entries = RawDir::new(dir, &mut buffer);
    let mut seen = 0;
    while let Some(entry) = entries.next() {
        ok(entry);
        seen += 1;
    }
    seen
}

fn list(trees: &Trees, side: usize, count: usize, dir: &str, expected: usize) -> Taken {
    once(trees, side, 1, dir, expected);
    once(trees, side, count, dir, expected)
}

/// Without having looked at it before.
fn once(trees: &Trees, side: usize, count: usize, dir: &str, expected: usize) -> Taken {
    let path = trees.wide().root(side).join(dir);
    timed(count, |_| {
        assert_eq!(entries(&dirent::open(&path)), expected + 2);
    })
}

/// Looks at everything below `root`, as find(1) does.
fn find(root: &Path) {
    let mut files = 0;
    for dir in ok(std::fs::read_dir(root)) {
        let dir = dirent::open(ok(dir).path());
        let mut buffer = vec![MaybeUninit::uninit(); 32768];
        let mut entries = RawDir::new(&dir, &mut buffer);
        while let Some(entry) = entries.next() {
            let entry = ok(entry);
            if entry.file_type() == FileType::RegularFile {
                let name = entry.file_name();
                ok(rustix::fs::statat(&dir, name, AtFlags::SYMLINK_NOFOLLOW));
                files += 1;
            }
        }
    }
    assert_eq!(files, TREE_FILES);
}
