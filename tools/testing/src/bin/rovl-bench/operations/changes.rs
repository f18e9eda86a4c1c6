// SPDX-License-Identifier: GPL-2.0
//! Making, removing and renaming.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};

use rovl_testing::ops::{chmod, link, mkdir, ok, rename, rmdir, unlink};
use rovl_testing::Mounted;
use rustix::fs::{OFlags, CWD};

use super::{numbered, once_each, timed, Kind, Operation, Taken};
use crate::tree::{Fs, Trees, COPIES};

/// Does something so many times in a directory of the upper layer.
type InDir = fn(&Path, usize) -> Taken;

/// Does something once with each of the lower objects.
type OnMount = fn(&Mounted) -> Taken;

pub fn all() -> Vec<Operation> {
    let upper: [Kind<InDir>; 7] = [
        ("create and unlink", 100, create_unlink),
        ("create and unlink, new names", 100, create_unlink_new),
        ("mkdir and rmdir", 100, mkdir_rmdir),
        ("symlink and unlink", 100, symlink_unlink),
        ("mknod and unlink, fifo", 100, fifo_unlink),
        ("link and unlink", 100, link_unlink),
        ("rename in the upper layer", 100, rename_upper),
    ];
    let lower: [(&str, OnMount); 8] = [
        ("unlink of a lower file", unlink_lower),
        ("rmdir of a lower directory", rmdir_lower),
        ("create over a whiteout", create_over_whiteout),
        ("mkdir over a whiteout", mkdir_over_whiteout),
        ("rmdir of a directory over a whiteout", rmdir_over_whiteout),
        ("rename that leaves a whiteout", rename_leaving_whiteout),
        ("rename over a lower file", rename_over_lower),
        ("link to a new name, copied up", link_copied_up),
    ];
    let mut all = Vec::new();
    for (name, count, run) in upper {
        let operation = Operation::new("change", name, count, move |trees, side, count| {
            run(&trees.data(Fs::Tmpfs).root(side).join("dir"), count)
        });
        all.push(match name {
            "create and unlink" => operation.at_most(0.80),
            "create and unlink, new names" => operation.at_most(0.92),
            _ => operation,
        });
    }
    for (name, run) in lower {
        all.push(Operation::new(
            "change",
            name,
            COPIES,
            move |trees, side, _count| with_empty_upper(trees, Fs::Tmpfs, side, run),
        ));
    }
    all
}

/// Does `run` on a mount whose upper layer is empty, and removes that again.
pub fn with_empty_upper(
    trees: &Trees,
    fs: Fs,
    side: usize,
    run: impl FnOnce(&Mounted) -> Taken,
) -> Taken {
    let (mounted, dir) = trees.data(fs).with_empty_upper(side);
    // The parent of all that is changed is copied up before the time runs.
    let warm = mounted.path("dir/warm");
    ok(std::fs::write(&warm, ""));
    unlink(&warm);
    let taken = run(&mounted);
    mounted.unmount();
    ok(std::fs::remove_dir_all(dir));
    taken
}

fn create(path: &Path) {
    let flags = OFlags::CREATE | OFlags::EXCL | OFlags::WRONLY;
    drop(ok(rustix::fs::openat(CWD, path, flags, 0o644.into())));
}

/// Names that were there before.
fn create_unlink(dir: &Path, count: usize) -> Taken {
    let paths = numbered(dir, "new", count);
    for path in &paths {
        create(path);
        unlink(path);
    }
    once_each(&paths, |path| {
        create(path);
        unlink(path);
    })
}

/// Names that nobody has used before.
fn create_unlink_new(dir: &Path, count: usize) -> Taken {
    static USED: AtomicUsize = AtomicUsize::new(0);
    let prefix = format!("new{}-", USED.fetch_add(1, Ordering::Relaxed));
    let paths = numbered(dir, &prefix, count);
    once_each(&paths, |path| {
        create(path);
        unlink(path);
    })
}

fn mkdir_rmdir(dir: &Path, count: usize) -> Taken {
    let paths = numbered(dir, "new", count);
    once_each(&paths, |path| {
        mkdir(path);
        rmdir(path);
    })
}

fn symlink_unlink(dir: &Path, count: usize) -> Taken {
    let paths = numbered(dir, "new", count);
    once_each(&paths, |path| {
        ok(rustix::fs::symlink("target", path));
        unlink(path);
    })
}

fn fifo_unlink(dir: &Path, count: usize) -> Taken {
    let paths = numbered(dir, "new", count);
    once_each(&paths, |path| {
        let fifo = rustix::fs::FileType::Fifo;
        ok(rovl_testing::ops::mknod(path, fifo, 0o644, 0));
        unlink(path);
    })
}

fn link_unlink(dir: &Path, count: usize) -> Taken {
    let old = dir.join("linked");
    create(&old);
    let paths = numbered(dir, "new", count);
    let taken = once_each(&paths, |path| {
        link(&old, path);
        unlink(path);
    });
    unlink(old);
    taken
}

fn rename_upper(dir: &Path, count: usize) -> Taken {
    let names = [dir.join("one"), dir.join("other")];
    create(&names[0]);
    let taken = timed(count, |n| rename(&names[n % 2], &names[(n + 1) % 2]));
    unlink(&names[count % 2]);
    taken
}

fn files(mounted: &Mounted) -> Vec<PathBuf> {
    let paths = numbered(&mounted.path("dir"), "copy", COPIES);
    for path in &paths {
        ok(rustix::fs::stat(path));
    }
    paths
}

fn dirs(mounted: &Mounted) -> Vec<PathBuf> {
    let paths = numbered(&mounted.path("dir"), "sub", COPIES);
    for path in &paths {
        ok(rustix::fs::stat(path));
    }
    paths
}

fn unlink_lower(mounted: &Mounted) -> Taken {
    once_each(&files(mounted), |path| unlink(path))
}

fn rmdir_lower(mounted: &Mounted) -> Taken {
    once_each(&dirs(mounted), |path| rmdir(path))
}

fn create_over_whiteout(mounted: &Mounted) -> Taken {
    let paths = files(mounted);
    paths.iter().for_each(unlink);
    once_each(&paths, create)
}

fn mkdir_over_whiteout(mounted: &Mounted) -> Taken {
    let paths = dirs(mounted);
    paths.iter().for_each(rmdir);
    once_each(&paths, |path| mkdir(path))
}

fn rmdir_over_whiteout(mounted: &Mounted) -> Taken {
    let paths = dirs(mounted);
    paths.iter().for_each(rmdir);
    paths.iter().for_each(mkdir);
    once_each(&paths, |path| rmdir(path))
}

fn copied_up(mounted: &Mounted) -> Vec<PathBuf> {
    let paths = files(mounted);
    for path in &paths {
        chmod(path, 0o600);
    }
    paths
}

fn rename_leaving_whiteout(mounted: &Mounted) -> Taken {
    let paths = copied_up(mounted);
    let targets = numbered(&mounted.path("dir"), "moved", COPIES);
    timed(paths.len(), |n| rename(&paths[n], &targets[n]))
}

fn rename_over_lower(mounted: &Mounted) -> Taken {
    let paths = files(mounted);
    let sources = numbered(&mounted.path("dir"), "source", COPIES);
    for source in &sources {
        create(source);
    }
    timed(paths.len(), |n| rename(&sources[n], &paths[n]))
}

fn link_copied_up(mounted: &Mounted) -> Taken {
    let paths = copied_up(mounted);
    let names = numbered(&mounted.path("dir"), "name", COPIES);
    timed(paths.len(), |n| link(&paths[n], &names[n]))
}
