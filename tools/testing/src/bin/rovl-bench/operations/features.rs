// SPDX-License-Identifier: GPL-2.0
//! What an overlay only does when it is asked to: redirects, metadata-only copy up, the index, inode
//! numbers over several file systems, and file handles.

use std::path::{Path, PathBuf};

use rovl_testing::handle::Handle;
use rovl_testing::ops::{chmod, chown, link, ok, open, rename, unlink};
use rovl_testing::Mounted;
use rustix::fs::{AtFlags, OFlags, CWD};

use super::{drop_caches, in_turn, numbered, once_each, timed, Operation, Taken};
use crate::tree::{Feature, Trees, COPIES, OWNED, TREE_WIDTH};

/// Does something on a mount whose upper layer is empty.
type OnMount = fn(&Mounted) -> Taken;

pub fn all() -> Vec<Operation> {
    let changes: [(Feature, &str, OnMount); 7] = [
        (
            Feature::Redirect,
            "rename of a merged directory",
            rename_dirs,
        ),
        (
            Feature::Redirect,
            "rename of a merged directory of 10000 names",
            rename_large,
        ),
        (
            Feature::Redirect,
            "stat below a renamed directory, nothing cached",
            stat_renamed,
        ),
        (
            Feature::Metacopy,
            "chown of all in a tree of 2,000 files, metacopy",
            chown_tree,
        ),
        (
            Feature::Index,
            "chmod by each of 50 names, index",
            chmod_names,
        ),
        (
            Feature::Index,
            "link and unlink of an indexed file",
            link_indexed,
        ),
        (
            Feature::Index,
            "unlink of all 50 names, index",
            unlink_names,
        ),
    ];
    let mut all = Vec::new();
    for (feature, name, run) in changes {
        all.push(Operation::new(
            "features",
            name,
            1,
            move |trees, side, _count| with_empty_upper(trees, feature, side, run),
        ));
    }
    all.push(Operation::new(
        "features",
        "stat through 128 layers with redirects",
        300,
        |trees, side, count| in_turn(&[redirected(trees, side)], count, stat),
    ));
    all.push(Operation::new(
        "features",
        "stat through 128 layers with redirects, nothing cached",
        5,
        |trees, side, count| {
            let path = redirected(trees, side);
            let mut taken = Taken::none();
            for _ in 0..count {
                drop_caches();
                taken.add(timed(1, |_| stat(&path)));
            }
            taken
        },
    ));
    all.extend(xino());
    all.extend(handles());
    all
}

fn xino() -> Vec<Operation> {
    let mut all = vec![Operation::new(
        "features",
        "list a directory of 150 names, xino",
        20,
        |trees, side, count| {
            let dir = trees.feature(Feature::Xino).root(side).join("dir");
            in_turn(&[dir], count, list)
        },
    )];
    for (cold, name) in [(false, "stat, xino"), (true, "stat, xino, nothing cached")] {
        all.push(Operation::new(
            "features",
            name,
            300,
            move |trees, side, count| {
                let paths = on_three(trees, side);
                if cold {
                    drop_caches();
                    once_each(&paths, stat)
                } else {
                    in_turn(&paths, count, stat)
                }
            },
        ));
    }
    all
}

/// File handles of what is in one layer or another, with `nfs_export=on`.
fn handles() -> Vec<Operation> {
    let mut all = vec![Operation::new(
        "features",
        "handle of a lower file",
        300,
        |trees, side, count| {
            let paths = exported(trees, side, "file");
            in_turn(&paths, count, |path| _ = Handle::of(path))
        },
    )];
    for (what, name) in [
        ("file", "a lower file"),
        ("upper", "an upper file"),
        ("sub", "a merged directory"),
    ] {
        for (cold, after) in [(false, ""), (true, ", nothing cached")] {
            all.push(Operation::new(
                "features",
                format!("open by the handle of {name}{after}"),
                COPIES,
                move |trees, side, _count| open_by_handles(trees, side, what, cold),
            ));
        }
    }
    all
}

fn open_by_handles(trees: &Trees, side: usize, what: &str, cold: bool) -> Taken {
    let root = trees.feature(Feature::Handles).root(side);
    let mount = open(root, OFlags::RDONLY | OFlags::DIRECTORY);
    let paths = exported(trees, side, what);
    let handles: Vec<Handle> = paths.iter().map(Handle::of).collect();
    let by_handle = |n: usize| _ = ok(handles[n].open_below(&mount, OFlags::PATH));
    if cold {
        drop_caches();
    } else {
        (0..handles.len()).for_each(by_handle);
    }
    timed(handles.len(), by_handle)
}

fn exported(trees: &Trees, side: usize, what: &str) -> Vec<PathBuf> {
    let dir = trees.feature(Feature::Handles).root(side).join("dir");
    numbered(&dir, what, COPIES)
}

fn list(dir: &Path) {
    assert!(ok(std::fs::read_dir(dir)).count() > 0, "nothing in {dir:?}");
}

fn stat(path: &Path) {
    ok(rustix::fs::stat(path));
}

fn with_empty_upper(trees: &Trees, feature: Feature, side: usize, run: OnMount) -> Taken {
    let (mounted, dir) = trees.feature(feature).with_empty_upper(side);
    let taken = run(&mounted);
    mounted.unmount();
    ok(std::fs::remove_dir_all(dir));
    taken
}

fn directories(mounted: &Mounted) -> Vec<PathBuf> {
    let paths = numbered(&mounted.path("dir"), "sub", COPIES);
    paths.iter().for_each(|path| stat(path));
    paths
}

fn rename_dirs(mounted: &Mounted) -> Taken {
    let (old, new) = (
        directories(mounted),
        numbered(&mounted.path("dir"), "new", COPIES),
    );
    // The parent is copied up before the time runs.
    chmod(mounted.path("dir"), 0o700);
    timed(old.len(), |n| rename(&old[n], &new[n]))
}

fn rename_large(mounted: &Mounted) -> Taken {
    let (old, new) = (mounted.path("large"), mounted.path("renamed"));
    stat(&old);
    timed(1, |_| rename(&old, &new))
}

fn stat_renamed(mounted: &Mounted) -> Taken {
    rename_large(mounted);
    let paths: Vec<PathBuf> = (0..COPIES)
        .map(|n| mounted.path(format!("renamed/entry-{}-{n:05}", n % 2)))
        .collect();
    drop_caches();
    once_each(&paths, stat)
}

fn chown_tree(mounted: &Mounted) -> Taken {
    let mut paths = Vec::new();
    for n in 0..OWNED / TREE_WIDTH {
        let dir = mounted.path(format!("dir{n}"));
        paths.extend((0..TREE_WIDTH).map(|n| dir.join(format!("file-{n:05}"))));
        paths.push(dir);
    }
    once_each(&paths, |path| {
        ok(rustix::fs::statat(CWD, path, AtFlags::SYMLINK_NOFOLLOW));
        chown(path, 1, 1);
    })
}

fn names(mounted: &Mounted) -> Vec<PathBuf> {
    let paths = numbered(&mounted.path("dir"), "name", COPIES);
    paths.iter().for_each(|path| stat(path));
    paths
}

/// The first one copies the file up, the others link it.
fn chmod_names(mounted: &Mounted) -> Taken {
    once_each(&names(mounted), |path| chmod(path, 0o600))
}

fn link_indexed(mounted: &Mounted) -> Taken {
    let old = mounted.path("dir/name0");
    chmod(&old, 0o600);
    let paths = numbered(&mounted.path("dir"), "new", COPIES);
    once_each(&paths, |path| {
        link(&old, path);
        unlink(path);
    })
}

fn unlink_names(mounted: &Mounted) -> Taken {
    once_each(&names(mounted), |path| unlink(path))
}

fn redirected(trees: &Trees, side: usize) -> PathBuf {
    trees
        .feature(Feature::RedirectChain)
        .root(side)
        .join("name0/file")
}

/// Files of all of the file systems.
fn on_three(trees: &Trees, side: usize) -> Vec<PathBuf> {
    let dir = trees.feature(Feature::Xino).root(side).join("dir");
    (0..COPIES)
        .map(|n| dir.join(format!("file{}-{n:05}", n % 3)))
        .collect()
}
