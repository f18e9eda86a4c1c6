// SPDX-License-Identifier: GPL-2.0
//! Layers that change under a mount (Documentation/live.rst). The in-tree module has nothing of the kind; it
//! shows what is left on disk.

mod changing;
mod descriptors;
mod failing;
mod layers_in_use;
mod meanwhile;
mod names;
mod on_disk;
mod other_names;
mod push_and_drop;
mod rates;
mod redirects;
mod refused;
mod rollback;
mod root_names;
mod same_uuid;
mod thrown_away;
mod unchanged;
mod under_load;

use rovl_testing::{Case, Layers, Test};

/// The tests of this room, in the order in which they run.
pub const CASES: &[&[Case]] = &[
    unchanged::CASES,
    descriptors::CASES,
    other_names::CASES,
    meanwhile::CASES,
    names::CASES,
    on_disk::CASES,
    rollback::CASES,
    thrown_away::CASES,
    push_and_drop::CASES,
    root_names::CASES,
    redirects::CASES,
    same_uuid::CASES,
    layers_in_use::CASES,
    refused::CASES,
    failing::CASES,
    rates::CASES,
    under_load::CASES,
    changing::CASES,
];

/// Layers for a test of ours.
fn ours(t: &Test) -> Option<Layers<'_>> {
    t.is_rovl().then(|| t.layers())
}
