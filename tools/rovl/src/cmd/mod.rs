// SPDX-License-Identifier: GPL-2.0

//! The commands, one a file: its arguments, whose texts are the help and the man page, and `run`. What
//! a command knows of layers and mounts is in the folders beside; here is what it says of that.

pub mod apply;
pub mod branch;
mod changing;
pub mod check;
pub mod checkpoint;
pub mod commit;
pub mod completions;
pub mod diff;
pub mod drop;
pub mod flatten;
pub mod info;
mod keeping_args;
pub mod layer_args;
pub mod layers;
pub mod list;
pub mod man;
pub mod merge;
pub mod mount;
pub mod push;
pub mod rollback;
pub mod top;
pub mod trace;
pub mod vacuum;
