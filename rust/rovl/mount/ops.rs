// SPDX-License-Identifier: GPL-2.0

//! The tables of operations, which are put together from all rooms.

pub(crate) mod dentry;
pub(crate) mod inode;
pub(crate) mod super_block;
