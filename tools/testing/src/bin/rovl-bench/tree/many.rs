// SPDX-License-Identifier: GPL-2.0
//! Layers with many names in one directory.

use std::path::{Path, PathBuf};

use rovl_testing::ops::{link, ok, write};

use super::{Pair, HUGE, LOWEST};

fn layers(base: &Path, name: &str, count: usize) -> (PathBuf, Vec<PathBuf>) {
    let dir = base.join(name);
    let lowers = (0..count).map(|n| dir.join(format!("lower{n}"))).collect();
    (dir, lowers)
}

/// The directory of the layers of [`many`] and of their mounts.
pub fn dir_name(count: usize) -> String {
    format!("many{count}")
}

/// A directory `many` with so many names in each layer, and some more in the lowest.
pub fn many(base: &Path, (count, names): (usize, usize), types: &[String; 2]) -> Pair {
    let (dir, lowers) = layers(base, &dir_name(count), count);
    for (number, lower) in lowers.iter().enumerate() {
        let many = lower.join("many");
        ok(std::fs::create_dir_all(&many));
        let first = many.join(format!("name-{number}-0"));
        write(&first, "");
        for n in 1..names {
            link(&first, many.join(format!("name-{number}-{n}")));
        }
    }
    for n in 0..LOWEST {
        write(
            lowers[count - 1].join("many").join(format!("lowest{n}")),
            "",
        );
    }
    Pair::new(&dir, lowers, types, |_upper| ())
}

/// A directory `huge`, of which half is in each of two layers, and the same in one.
pub fn huge(base: &Path, types: &[String; 2]) -> Pair {
    let (dir, lowers) = layers(base, "huge", 2);
    for (half, lower) in lowers.iter().enumerate() {
        let huge = lower.join("huge");
        ok(std::fs::create_dir_all(&huge));
        for n in 0..HUGE / 2 {
            write(huge.join(format!("entry-{half}-{n:06}")), "");
        }
    }
    Pair::new(&dir, lowers, types, |_upper| ())
}
