// SPDX-License-Identifier: GPL-2.0

//! Mount options: how they are given, made consistent, compared at a remount, and shown.

pub(crate) mod layer_list;
pub(crate) mod parse;
pub(crate) mod reconfigure;
pub(crate) mod show;
pub(crate) mod table;
mod verify;
