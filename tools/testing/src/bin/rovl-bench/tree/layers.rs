// SPDX-License-Identifier: GPL-2.0
//! What is in the layers.

use std::path::{Path, PathBuf};

use rovl_testing::acl;
use rovl_testing::caller::ALICE;
use rovl_testing::ops::{chmod, ok, pattern, setxattr, write};

use super::{
    deep_path, Feature, Options, Pair, COPIES, DEEP, ENTRIES, FEW, FILES, LARGE, MIDDLE, OWNED,
    SMALL, TREE_FILES, TREE_WIDTH, WALKS,
};

fn layers(base: &Path, name: &str, count: usize) -> (PathBuf, Vec<PathBuf>) {
    let dir = base.join(name);
    let lowers: Vec<PathBuf> = (0..count).map(|n| dir.join(format!("lower{n}"))).collect();
    for lower in &lowers {
        ok(std::fs::create_dir_all(lower));
    }
    (dir, lowers)
}

fn nothing(_upper: &Path) {}

/// The directories are in every layer, the files in the lowest.
pub fn deep(base: &Path, count: usize, types: &[String; 2]) -> Pair {
    let (dir, lowers) = layers(base, &format!("deep{count}"), count);
    for lower in &lowers {
        ok(std::fs::create_dir_all(lower.join(DEEP)));
    }
    for n in 0..FILES {
        let file = lowers[count - 1].join(DEEP).join(format!("file{n}"));
        write(file, "content");
    }
    Pair::new(&dir, lowers, types, nothing)
}

/// Directories that everybody may search: by their mode, or by an access control list for the user.
pub fn walks(base: &Path, types: &[String; 2]) -> Pair {
    let (dir, lowers) = layers(base, "walks", 2);
    let list = acl::value(&[
        acl::owner(7),
        acl::user(ALICE, 5),
        acl::group_owner(0),
        acl::mask(5),
        acl::other(0),
    ]);
    for (name, _what) in WALKS {
        for lower in &lowers {
            let file = lower.join(deep_path(name));
            let last = file.parent().unwrap_or(lower);
            ok(std::fs::create_dir_all(last));
            for dir in last.ancestors().take_while(|dir| dir != lower) {
                if name == "acl" {
                    ok(setxattr(dir, acl::ACCESS, &list));
                } else {
                    chmod(dir, 0o755);
                }
            }
        }
        write(lowers[1].join(deep_path(name)), "content");
    }
    Pair::new(&dir, lowers, types, nothing)
}

fn entries(dir: &Path, name: &str, count: usize) {
    ok(std::fs::create_dir_all(dir));
    for n in 0..count {
        write(dir.join(format!("{name}-{n:05}")), "");
    }
}

/// Directories of `ENTRIES` and, below `few`, of `FEW` names.
pub fn wide(base: &Path, types: &[String; 2]) -> Pair {
    let (dir, lowers) = layers(base, "wide", 2);
    for (at, count) in [("", ENTRIES), ("few", FEW)] {
        for (half, lower) in lowers.iter().enumerate() {
            let dir = lower.join(at).join("merged");
            entries(&dir, &format!("entry-{half}"), count / 2);
        }
        entries(&lowers[1].join(at).join("lower"), "entry", count);
    }
    Pair::new(&dir, lowers, types, |upper| {
        entries(&upper.join("upper"), "entry", ENTRIES);
        entries(&upper.join("few/upper"), "entry", FEW);
    })
}

/// Half of the directories are in the one lower layer, half in the other.
pub fn tree(base: &Path, types: &[String; 2]) -> Pair {
    let (dir, lowers) = layers(base, "tree", 2);
    for n in 0..TREE_FILES / TREE_WIDTH {
        entries(&lowers[n % 2].join(format!("dir{n}")), "file", TREE_WIDTH);
    }
    Pair::new(&dir, lowers, types, nothing)
}

/// Files of all sizes in the lowest layer, a directory with small objects in both, and a file in
/// the upper layer.
pub fn data(base: &Path, types: &[String; 2]) -> Pair {
    let (dir, lowers) = layers(base, "data", 2);
    let lower = &lowers[1];
    for layer in &lowers {
        ok(std::fs::create_dir_all(layer.join("dir")));
    }
    write(lower.join("small"), pattern(SMALL, 1));
    ok(setxattr(lower.join("small"), "user.name", "value"));
    write(lower.join("middle"), pattern(MIDDLE, 2));
    write(lower.join("large"), pattern(LARGE, 3));
    ok(std::os::unix::fs::symlink("target", lower.join("symlink")));
    ok(std::fs::copy("/usr/bin/true", lower.join("true")));
    for n in 0..COPIES {
        let file = lower.join(format!("dir/copy{n}"));
        write(file, pattern(SMALL, n as u64));
        ok(std::fs::create_dir(lower.join(format!("dir/sub{n}"))));
        let link = lower.join(format!("dir/link{n}"));
        ok(std::os::unix::fs::symlink("target", link));
    }
    Pair::new(&dir, lowers, types, |upper| {
        write(upper.join("upper"), pattern(MIDDLE, 4));
        ok(std::fs::create_dir(upper.join("dir2")));
    })
}

/// The trees of features, on the first of the file systems `bases` unless they are about several.
pub fn feature(
    bases: &[PathBuf; 3],
    feature: Feature,
    options: Options,
    types: &[String; 2],
) -> Pair {
    let base = &bases[0];
    let (dir, lowers) = match feature {
        Feature::Redirect => directories(base),
        Feature::RedirectChain => renamed_in_each_layer(base),
        Feature::Metacopy => owned(base),
        Feature::Index => linked(base),
        Feature::Xino => several(bases),
        Feature::Handles => {
            let (dir, lowers) = exported(base);
            return Pair::with_options(&dir, lowers, types, options, |upper| {
                let dir = upper.join("dir");
                ok(std::fs::create_dir_all(&dir));
                (0..COPIES).for_each(|n| write(dir.join(format!("upper{n}")), "content"));
            });
        }
    };
    Pair::with_options(&dir, lowers, types, options, nothing)
}

/// Files in one layer, directories in two.
fn exported(base: &Path) -> (PathBuf, Vec<PathBuf>) {
    let (dir, lowers) = layers(base, "exported", 2);
    for n in 0..COPIES {
        for lower in &lowers {
            ok(std::fs::create_dir_all(lower.join(format!("dir/sub{n}"))));
        }
        write(lowers[1].join(format!("dir/file{n}")), "content");
    }
    (dir, lowers)
}

/// Directories in two layers, small ones and one of many names.
fn directories(base: &Path) -> (PathBuf, Vec<PathBuf>) {
    let (dir, lowers) = layers(base, "redirect", 2);
    for (half, lower) in lowers.iter().enumerate() {
        entries(&lower.join("large"), &format!("entry-{half}"), ENTRIES / 2);
        for n in 0..COPIES {
            ok(std::fs::create_dir_all(lower.join(format!("dir/sub{n}"))));
        }
    }
    (dir, lowers)
}

/// A directory that has another name in each layer, with a file in the lowest one.
fn renamed_in_each_layer(base: &Path) -> (PathBuf, Vec<PathBuf>) {
    let (dir, lowers) = layers(base, "renamed", 128);
    for (n, lower) in lowers.iter().enumerate() {
        let here = lower.join(format!("name{n}"));
        ok(std::fs::create_dir(&here));
        if n + 1 < lowers.len() {
            let below = format!("/name{}", n + 1);
            ok(setxattr(&here, "trusted.overlay.redirect", below));
        } else {
            write(here.join("file"), "content");
        }
    }
    (dir, lowers)
}

/// Directories of files with data, which are given to others.
fn owned(base: &Path) -> (PathBuf, Vec<PathBuf>) {
    let (dir, lowers) = layers(base, "metacopy", 2);
    for n in 0..OWNED / TREE_WIDTH {
        let dir = lowers[1].join(format!("dir{n}"));
        ok(std::fs::create_dir(&dir));
        for n in 0..TREE_WIDTH {
            write(dir.join(format!("file-{n:05}")), pattern(8 * SMALL, 7));
        }
    }
    (dir, lowers)
}

/// A file with many names, and a directory for more.
fn linked(base: &Path) -> (PathBuf, Vec<PathBuf>) {
    let (dir, lowers) = layers(base, "index", 2);
    let names = lowers[1].join("dir");
    ok(std::fs::create_dir(&names));
    write(names.join("name0"), pattern(SMALL, 5));
    for n in 1..COPIES {
        ok(std::fs::hard_link(
            names.join("name0"),
            names.join(format!("name{n}")),
        ));
    }
    (dir, lowers)
}

/// Lower layers on file systems of their own.
fn several(bases: &[PathBuf; 3]) -> (PathBuf, Vec<PathBuf>) {
    let lowers: Vec<PathBuf> = bases.iter().map(|base| base.join("xino/lower")).collect();
    for (n, lower) in lowers.iter().enumerate() {
        let dir = lower.join("dir");
        entries(&dir, &format!("file{n}"), COPIES);
    }
    (bases[0].join("xino"), lowers)
}
