// SPDX-License-Identifier: GPL-2.0

//! Objects: what the mounted overlay and each of its inodes are made of.
//!
//! That is options, layers, flags, and what attributes of the layers say. Nothing on disk is
//! changed here.
//!
//! May use `listing`, `observe`.

pub(crate) mod config;
pub(crate) mod current;
pub(crate) mod dentry;
pub(crate) mod entry;
pub(crate) mod fault;
pub(crate) mod ino_space;
pub(crate) mod inode;
pub(crate) mod known;
pub(crate) mod layer_xattr;
pub(crate) mod links;
pub(crate) mod live;
pub(crate) mod log;
pub(crate) mod lower_data;
pub(crate) mod made_again;
pub(crate) mod module_parameters;
pub(crate) mod protattr;
pub(crate) mod reason;
pub(crate) mod renewed;
pub(crate) mod super_data;
pub(crate) mod text;
pub(crate) mod upper_fs;
pub(crate) mod verity;
