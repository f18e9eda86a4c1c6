// SPDX-License-Identifier: GPL-2.0
//! What goes wrong below: attributes of layers that are damaged, file systems that are full, blocks that are bad,
//! allocations that fail, and callers that are killed.

mod alloc_failures;
mod corrupt_layers;
mod failing_allocations;
pub mod failing_blocks;
mod failing_index;
pub mod fault_injection;
pub mod faults;
mod no_space;
mod upper_errors;

use rovl_testing::Case;

/// The tests of this room, in the order in which they run.
pub const CASES: &[&[Case]] = &[
    corrupt_layers::CASES,
    no_space::CASES,
    faults::CASES,
    upper_errors::CASES,
    failing_blocks::CASES,
    alloc_failures::CASES,
    failing_allocations::CASES,
    failing_index::CASES,
];
