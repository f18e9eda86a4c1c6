// SPDX-License-Identifier: GPL-2.0
//! Directories that are read: which names, numbers and offsets a listing has.

mod big_directory;
mod many_layers;
mod readdir;

use rovl_testing::Case;

/// The tests of this room, in the order in which they run.
pub const CASES: &[&[Case]] = &[readdir::CASES, big_directory::CASES, many_layers::CASES];
