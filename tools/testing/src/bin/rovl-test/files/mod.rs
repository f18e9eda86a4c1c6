// SPDX-License-Identifier: GPL-2.0
//! Open files and their data: reading, writing, mapping and executing, locks, data that is shared or moved, and who is
//! told of it (inotify, fanotify).

mod aio_direct;
mod extents;
mod fanotify;
mod file_io;
mod locks;
mod mapping_changes;
pub mod mmap;
mod page_cache;
mod process;
mod ring;
mod rw_flags;
mod special_files;
mod splice;
mod watch;

use rovl_testing::Case;

/// The tests of this room, in the order in which they run.
pub const CASES: &[&[Case]] = &[
    watch::CASES,
    fanotify::CASES,
    mmap::CASES,
    mapping_changes::CASES,
    process::CASES,
    file_io::CASES,
    rw_flags::CASES,
    locks::CASES,
    splice::CASES,
    special_files::CASES,
    extents::CASES,
    aio_direct::CASES,
    ring::CASES,
    page_cache::CASES,
];
