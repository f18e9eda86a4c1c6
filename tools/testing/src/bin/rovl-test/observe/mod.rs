// SPDX-License-Identifier: GPL-2.0
//! What can be seen of a mount from outside: its counters, the layers of an object, how these are asked for, sysfs and tracepoints. The
//! in-tree module has nothing of the kind.

mod layers;
mod requests;
mod stats;
mod sysfs;
mod tracepoints;

use rovl_testing::Case;

/// The tests of this room, in the order in which they run.
pub const CASES: &[&[Case]] = &[
    requests::CASES,
    stats::CASES,
    sysfs::CASES,
    layers::CASES,
    tracepoints::CASES,
];
