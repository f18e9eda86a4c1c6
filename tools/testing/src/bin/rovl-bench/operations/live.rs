// SPDX-License-Identifier: GPL-2.0
//! What the option `live` costs: the operations above, on mounts of the type under test with and without it.

use super::{changes, copy_up, directories, files, lookup, walk, Operation};
use crate::tree::Trees;

/// Heading of these rows. What they are compared with is the type under test.
pub const GROUP: &str = "with live, to without";

/// What each may be at most.
const LIMIT: f64 = 1.03;

pub fn all() -> Vec<Operation> {
    let groups = [
        lookup::all(),
        walk::all(),
        files::all(),
        directories::all(),
        changes::all(),
        copy_up::all(),
    ];
    let operations = groups.into_iter().flatten();
    // A mount with the option has at most 100 layers.
    let possible = operations.filter(|operation| !operation.name.contains("128 layers"));
    possible.map(with_live).collect()
}

fn with_live(operation: Operation) -> Operation {
    let name = operation.title();
    let run = operation.run;
    Operation::new(
        GROUP,
        name,
        operation.repetitions,
        move |trees: &Trees, side, count| run(trees.live(), side, count),
    )
    .at_most(LIMIT)
}
