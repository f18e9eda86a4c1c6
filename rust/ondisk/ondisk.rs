// SPDX-License-Identifier: GPL-2.0

//! Names and byte formats that an overlay filesystem leaves on its layers.
//!
//! The formats are those of Linux 7.3's `fs/overlayfs`, bit for bit: what the one writes, the other
//! reads. The crate holds no policy. It does not allocate, has no kernel types, and returns an error
//! for any bytes it is given instead of panicking, so that it serves the kernel module, the tools in
//! user space and the fuzzer alike.
//!
//! The grammar of the mount options that have one of their own ([`lowerdir`], [`mount_data`]) is
//! here for the same reason: it is text that somebody else wrote.

#![forbid(unsafe_code)]
// Kbuild passes `no_std` on the command line, and `MODULE` with it.
#![cfg_attr(not(any(test, MODULE)), no_std)]

pub mod backslash;
pub mod cut_option;
pub mod error;
pub mod escape;
pub mod file_handle;
pub mod index;
pub mod inline;
pub mod lowerdir;
pub mod marker;
pub mod metacopy;
pub mod mount_data;
pub mod nlink;
pub mod protattr;
pub mod redirect;
pub mod temp_name;
pub mod upper_fs;
pub mod uuid;
pub mod whiteout;
pub mod workdir;
pub mod xattr;

pub use error::{Errno, Fault};
pub use inline::Inline;
pub use xattr::{Name, Namespace};
