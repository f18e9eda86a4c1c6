// SPDX-License-Identifier: GPL-2.0

//! Layers of overlays, seen from user space: what one shows, what it changes, and whether it is sound.
//!
//! Formats and names are those of [`ondisk`], which the kernel module uses, too.

#![forbid(unsafe_code)]
