// SPDX-License-Identifier: GPL-2.0

//! Listings: what a directory contains, in memory.
//!
//! The names in one directory of a layer, and the merged entries that an inode keeps. How layers
//! are merged is in [`readdir`](crate::readdir).
//!
//! Uses no other room.

pub(crate) mod cache;
pub(crate) mod entries;
pub(crate) mod index;
pub(crate) mod names;
