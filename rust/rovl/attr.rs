// SPDX-License-Identifier: GPL-2.0

//! Attributes: those that stat(2) shows, permissions, extended ones, and access control lists.
//!
//! May use `upper`, `sync`, `object`, `observe`.

pub(crate) mod acl;
pub(crate) mod fileattr;
pub(crate) mod getattr;
pub(crate) mod permission;
pub(crate) mod setattr;
pub(crate) mod xattr;
