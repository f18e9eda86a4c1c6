// SPDX-License-Identifier: GPL-2.0
//! How a mount comes about: options and how they are shown, layers as paths and descriptors, refusals, what a mount gets
//! less than it asked for, remount, and what is said of all that.

mod bad_mount;
mod downgraded_mount;
mod downgraded_options;
mod in_use;
mod layer_fds;
mod messages;
mod mount_modes;
pub mod mount_options;
pub mod mount_shown;
mod remount;
mod remount_command;
mod remount_options;
mod statfs;
mod submounts;

use rovl_testing::Case;

/// The tests of this room, in the order in which they run.
pub const CASES: &[&[Case]] = &[
    statfs::CASES,
    mount_options::CASES,
    mount_modes::CASES,
    layer_fds::CASES,
    in_use::CASES,
    messages::CASES,
    mount_shown::CASES,
    remount::CASES,
    remount_options::CASES,
    remount_command::CASES,
    submounts::CASES,
    bad_mount::CASES,
    downgraded_mount::CASES,
    downgraded_options::CASES,
];
