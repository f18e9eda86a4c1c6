// SPDX-License-Identifier: GPL-2.0

//! Layers of overlays, seen from user space: what one shows, what it changes, and whether it is sound.
//!
//! Formats and names are those of [`ondisk`], which the kernel module uses, too.
//!
//! Unsafe code is in `sys` only: system calls that no crate in use has as a safe function.

#![deny(unsafe_code)]

pub mod changes;
pub mod check;
pub mod cli;
pub mod cmd;
pub mod exit;
pub mod layer;
pub mod mounts;
pub mod oci;
pub mod show;
pub mod stack;
mod sys;
