// SPDX-License-Identifier: GPL-2.0
//! Against the number of names in a directory that is merged from two layers.

use std::path::{Path, PathBuf};

use rovl_testing::dirent;
use rovl_testing::mount::{Mounted, Request};
use rovl_testing::ops::{link, ok, write};

use super::{curves, Curve, Kind};
use crate::operations::directories::entries;
use crate::operations::{drop_caches, many_layers, timed, Taken};
use crate::tree::Pair;

/// Numbers of names.
const NAMES: [usize; 5] = [100, 1_000, 10_000, 100_000, 1_000_000];

const KINDS: [Kind; 4] = [
    Kind {
        title: "first listing, for each name",
        run: |pair, side| many_layers::fresh(pair, side, |mounted| first(&mounted.path("many"))),
        bare: None,
    },
    Kind {
        title: "listing again, for each name",
        run: |pair, side| {
            many_layers::fresh(pair, side, |mounted| {
                first(&mounted.path("many"));
                again(&mounted.path("many"))
            })
        },
        bare: Some(|pair| {
            // Half of the names, so that each costs what one costs in a directory of half the size.
            again(&pair.lowers()[1].join("many"))
        }),
    },
    Kind {
        title: "first miss of a name",
        run: many_layers::cold,
        bare: Some(|pair| many_layers::cold_in(&pair.lowers()[1].join("many"))),
    },
    Kind {
        title: "create, rename and unlink",
        run: many_layers::change,
        bare: Some(|pair| many_layers::change_in(&pair.lowers()[1].join("many"))),
    },
];

/// Reads a directory that nothing is known of.
fn first(dir: &Path) -> Taken {
    drop_caches();
    ok(rustix::fs::stat(dir));
    per_name(dir)
}

fn again(dir: &Path) -> Taken {
    entries(&dirent::open(dir));
    per_name(dir)
}

/// The time for one name.
fn per_name(dir: &Path) -> Taken {
    let mut seen = 0;
    let mut taken = timed(1, |_| seen = entries(&dirent::open(dir)));
    taken.count = seen;
    taken
}

/// One file with half of the names in each of two layers: what is measured does not look at files.
fn make(base: &Path, names: usize, types: &[String; 2]) -> (Pair, PathBuf) {
    let dir = base.join("names");
    let lowers: Vec<PathBuf> = (0..2).map(|n| dir.join(format!("lower{n}"))).collect();
    for (half, lower) in lowers.iter().enumerate() {
        let many = lower.join("many");
        ok(std::fs::create_dir_all(&many));
        let first = many.join(format!("entry-{half}-{:07}", 0));
        write(&first, "");
        for n in 1..names / 2 {
            link(&first, many.join(format!("entry-{half}-{n:07}")));
        }
    }
    (Pair::new(&dir, lowers, types, |_upper| ()), dir)
}

/// The curves up to `largest` names.
pub fn measure(scratch: &Path, types: &[String; 2], rounds: usize, largest: usize) -> Vec<Curve> {
    let at: Vec<usize> = (NAMES.into_iter())
        .filter(|names| *names <= largest)
        .collect();
    let base = scratch.join("rovl-scale");
    let below = room(&base);
    let all = curves(&KINDS, "names", &at, types, rounds, |names| {
        make(&base, names, types)
    });
    below.unmount();
    ok(std::fs::remove_dir(base));
    all
}

/// A tmpfs for as many names as memory has room for.
fn room(base: &Path) -> Mounted {
    ok(std::fs::create_dir_all(base));
    let request = Request::new("tmpfs")
        .set("nr_inodes", "0")
        .set("size", "80%");
    match request.mount(base) {
        Ok(mounted) => mounted,
        Err(refused) => panic!("tmpfs: {}", refused.describe()),
    }
}
