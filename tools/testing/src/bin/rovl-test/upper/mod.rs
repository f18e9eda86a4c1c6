// SPDX-License-Identifier: GPL-2.0
//! The upper layer and the work directory: copy up, whiteouts and opaque directories, and what is cleaned up.

mod copy_up;
mod copy_up_data;
mod copy_up_kept;
mod copy_up_sync;
mod own_sync;
mod own_sync_others;
pub mod sync_disk;
mod whiteout;
mod work_cleanup;
mod work_directory;
pub mod xattr_whiteout;

use rovl_testing::Case;

/// The tests of this room, in the order in which they run.
pub const CASES: &[&[Case]] = &[
    copy_up::CASES,
    copy_up_data::CASES,
    copy_up_kept::CASES,
    copy_up_sync::CASES,
    own_sync::CASES,
    own_sync_others::CASES,
    whiteout::CASES,
    xattr_whiteout::CASES,
    work_directory::CASES,
    work_cleanup::CASES,
];
