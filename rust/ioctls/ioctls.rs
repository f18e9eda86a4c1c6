// SPDX-License-Identifier: GPL-2.0

//! What user space asks a mount, by ioctl(2): numbers of requests and structures, byte by byte.
//!
//! The module and the tools share these definitions; `include/uapi/linux/rovl.h` has the same for C, and
//! a test compares the two. `Documentation/observing.rst` describes them.
//!
//! A structure only grows, at its end, and begins with the number of bytes that the caller has room
//! for ([`Head`]): see [`Exchange`].

#![forbid(unsafe_code)]
// Kbuild passes `no_std` on the command line, and `MODULE` with it.
#![cfg_attr(not(any(test, MODULE)), no_std)]

mod layout;

pub mod handle;
pub mod histogram;
pub mod layer;
pub mod request;
pub mod stack;
pub mod stats;

pub use layout::{Exchange, Field, Head};
