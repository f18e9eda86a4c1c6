// SPDX-License-Identifier: GPL-2.0

//! Listings: what a directory contains, in memory.
//!
//! The names in one directory of a layer, and what an inode keeps: the merged entries, and which
//! layers have which names. How layers are merged is in [`readdir`](crate::readdir).
//!
//! May use `observe`.

pub(crate) mod cache;
pub(crate) mod entries;
pub(crate) mod index;
pub(crate) mod name_table;
pub(crate) mod names;
