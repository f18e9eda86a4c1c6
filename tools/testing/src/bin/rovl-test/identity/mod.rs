// SPDX-License-Identifier: GPL-2.0
//! What an object is known by: inode and device numbers, `xino`, file handles, hard links with `index`, and
//! `nfs_export`.

mod file_handle;
pub mod index;
mod index_both;
mod index_mount;
pub mod nfs_export;
mod nfs_export_dirs;
mod nfs_export_handles;
mod nfs_export_index;
mod nfs_export_marks;
mod nfs_export_options;
mod nfs_export_races;
mod stat_ino;
mod xino;

use rovl_testing::Case;

/// The tests of this room, in the order in which they run.
pub const CASES: &[&[Case]] = &[
    xino::CASES,
    file_handle::CASES,
    nfs_export::CASES,
    nfs_export_dirs::CASES,
    nfs_export_handles::CASES,
    nfs_export_index::CASES,
    nfs_export_marks::CASES,
    nfs_export_options::CASES,
    nfs_export_races::CASES,
    stat_ino::CASES,
    index::CASES,
    index_mount::CASES,
    index_both::CASES,
];
