// SPDX-License-Identifier: GPL-2.0

//! Directories: reading them.
//!
//! A directory of one layer without whiteouts is read straight from it ([`real`]). Of any other a
//! listing is made when it is read first ([`merged`]), which the inode keeps as long as the
//! directory is unchanged ([`crate::listing::cache`]). Which layers have which names is kept, too
//! ([`table`]).
//!
//! May use `upper`, `query`, `object`, `listing`, `observe`.

pub(crate) mod dir_file;
pub(crate) mod empty;
mod merged;
mod name_keys;
mod number;
mod real;
mod shown;
pub(crate) mod table;
