// SPDX-License-Identifier: GPL-2.0
//! Files whose data is in a lower layer: `metacopy`, data-only layers, `verity`, and composefs, which uses them all.

mod composefs;
pub mod data_only;
mod data_only_changes;
mod data_only_mount;
pub mod metacopy;
mod metacopy_names;
mod verity;

use rovl_testing::Case;

/// The tests of this room, in the order in which they run.
pub const CASES: &[&[Case]] = &[
    metacopy::CASES,
    metacopy_names::CASES,
    data_only::CASES,
    data_only_changes::CASES,
    data_only_mount::CASES,
    verity::CASES,
    composefs::CASES,
];
