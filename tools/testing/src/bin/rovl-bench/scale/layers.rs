// SPDX-License-Identifier: GPL-2.0
//! Against the number of lower layers.

use std::path::Path;

use super::{curves, Curve, Kind};
use crate::operations::{many_layers, mounts, Taken};
use crate::tree::{many, Pair};

/// Numbers of lower layers. The in-tree module takes no more.
const LAYERS: [usize; 6] = [1, 2, 10, 50, 128, 500];
/// Names in the directory of each layer.
const NAMES: usize = 20;
/// Mounts in one round.
const MOUNTS: usize = 5;

const KINDS: [Kind; 4] = [
    Kind {
        title: "first miss of a name",
        run: many_layers::cold,
        bare: Some(|pair| many_layers::cold_in(&lowest(pair))),
    },
    Kind {
        title: "stat of a name of the lowest layer",
        run: many_layers::lowest,
        bare: Some(|pair| many_layers::lowest_in(&lowest(pair))),
    },
    Kind {
        title: "create, rename and unlink",
        run: many_layers::change,
        bare: Some(|pair| many_layers::change_in(&lowest(pair))),
    },
    Kind {
        title: "mount and umount",
        run: mount,
        bare: None,
    },
];

/// The directory that has names in all layers, in the lowest.
fn lowest(pair: &Pair) -> std::path::PathBuf {
    pair.lowers()[pair.lowers().len() - 1].join("many")
}

fn mount(pair: &Pair, side: usize) -> Taken {
    mounts::mount(pair, side, MOUNTS)
}

/// The curves up to `largest` layers.
pub fn measure(base: &Path, types: &[String; 2], rounds: usize, largest: usize) -> Vec<Curve> {
    let at: Vec<usize> = (LAYERS.into_iter())
        .filter(|layers| *layers <= largest)
        .collect();
    curves(&KINDS, "layers", &at, types, rounds, |layers| {
        let pair = many::many(base, (layers, NAMES), types);
        let dir = base.join(many::dir_name(layers));
        (pair, dir)
    })
}
