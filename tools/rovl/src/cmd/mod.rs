// SPDX-License-Identifier: GPL-2.0

//! The commands, one a file: its arguments, whose texts are the help and the man page, and `run`. What
//! a command knows of layers and mounts is in the folders beside; here is what it says of that.

pub mod apply;
pub mod check;
pub mod commit;
pub mod completions;
pub mod diff;
pub mod info;
pub mod layer_args;
pub mod layers;
pub mod man;
pub mod mount;
