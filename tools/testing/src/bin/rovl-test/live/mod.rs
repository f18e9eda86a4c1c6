// SPDX-License-Identifier: GPL-2.0
//! Layers that change under a mount (Documentation/live.rst). The in-tree module has nothing of the kind; it
//! shows what is left on disk.

mod descriptors;
mod failing;
mod names;
mod on_disk;
mod rates;
mod refused;
mod unchanged;
mod under_load;

use rovl_testing::{Case, Layers, Test};

/// The tests of this room, in the order in which they run.
pub const CASES: &[&[Case]] = &[
    unchanged::CASES,
    descriptors::CASES,
    names::CASES,
    on_disk::CASES,
    refused::CASES,
    failing::CASES,
    rates::CASES,
    under_load::CASES,
];

/// Layers for a test of ours.
fn ours(t: &Test) -> Option<Layers<'_>> {
    t.is_rovl().then(|| t.layers())
}
