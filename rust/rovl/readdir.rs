// SPDX-License-Identifier: GPL-2.0

//! Reading directories.
//!
//! A directory of one layer without whiteouts is read straight from it ([`real`]). Of any other a
//! listing is made when it is read first ([`merged`]), which the inode keeps as long as the
//! directory is open and unchanged ([`cache`]).

mod cache;
mod dir_file;
mod empty;
mod entries;
mod index;
mod merged;
mod name_keys;
mod names;
mod number;
mod real;

pub(crate) use cache::CacheSlot;
pub(crate) use dir_file::DirFile;
pub(crate) use empty::{
    check_empty,
    cleanup_whiteouts, //
};
pub(crate) use names::{
    d_type_supported,
    names,
    some_names,
    Names, //
};
