// SPDX-License-Identifier: GPL-2.0
//! Copy up.

use std::path::PathBuf;

use rovl_testing::ops::{chmod, ok, open_write};
use rovl_testing::Mounted;

use super::changes::with_empty_upper;
use super::{numbered, once_each, Operation, Taken};
use crate::tree::{Fs, COPIES};

pub fn all() -> Vec<Operation> {
    let sizes: [(&str, &[&str]); 3] = [
        ("4 KiB", &[]),
        ("1 MiB", &["middle"]),
        ("64 MiB", &["large"]),
    ];
    let mut all = Vec::new();
    for (fs, on) in [
        (Fs::Tmpfs, "tmpfs"),
        (Fs::Ext4, "ext4"),
        (Fs::Xfs, "xfs, reflink"),
    ] {
        for (size, names) in sizes {
            // One file takes too little time to tell much, unless it is a large one that is copied.
            let repetitions = match (size, fs) {
                ("1 MiB", _) | ("64 MiB", Fs::Xfs) => 8,
                _ => 1,
            };
            all.push(Operation::new(
                "copy up",
                format!("open to write, {size}, {on}"),
                repetitions,
                move |trees, side, count| {
                    let mut taken = Taken::none();
                    for _ in 0..count {
                        let run = |mounted: &Mounted| opened(mounted, names);
                        taken.add(with_empty_upper(trees, fs, side, run));
                    }
                    taken
                },
            ));
        }
    }
    let dirs: fn(&Mounted) -> Vec<PathBuf> = |m| numbered(&m.path("dir"), "sub", COPIES);
    let links: fn(&Mounted) -> Vec<PathBuf> = |m| numbered(&m.path("dir"), "link", COPIES);
    all.push(Operation::new(
        "copy up",
        "chmod of a directory, tmpfs",
        1,
        move |trees, side, _| {
            with_empty_upper(trees, Fs::Tmpfs, side, |mounted| {
                let paths = looked_up(dirs(mounted));
                once_each(&paths, |path| chmod(path, 0o700))
            })
        },
    ));
    all.push(Operation::new(
        "copy up",
        "chown of a symbolic link, tmpfs",
        1,
        move |trees, side, _| {
            with_empty_upper(trees, Fs::Tmpfs, side, |mounted| {
                let paths = looked_up(links(mounted));
                once_each(&paths, |path| rovl_testing::ops::chown(path, 1, 1))
            })
        },
    ));
    all
}

fn looked_up(paths: Vec<PathBuf>) -> Vec<PathBuf> {
    for path in &paths {
        ok(rustix::fs::lstat(path));
    }
    paths
}

/// Opens each file, or all the small ones, for writing.
fn opened(mounted: &Mounted, names: &[&str]) -> Taken {
    let paths = if names.is_empty() {
        numbered(&mounted.path("dir"), "copy", COPIES)
    } else {
        names.iter().map(|name| mounted.path(name)).collect()
    };
    once_each(&looked_up(paths), |path| drop(open_write(path)))
}
