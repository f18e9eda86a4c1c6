// SPDX-License-Identifier: GPL-2.0
//! The module, and the in-tree module beside it: layers that one of them wrote and the other mounts, overlays on
//! overlays, and loading and unloading.

mod module;
mod nested;
pub mod swap;
mod swap_downgraded;
mod swap_handles;
mod swap_marks;
pub mod swap_options;

use rovl_testing::Case;

/// The tests of this room, in the order in which they run.
pub const CASES: &[&[Case]] = &[
    swap::CASES,
    swap_options::CASES,
    swap_handles::CASES,
    swap_downgraded::CASES,
    swap_marks::CASES,
    nested::CASES,
    module::CASES,
];
