// SPDX-License-Identifier: GPL-2.0

//! System calls that no crate in use has as a safe function. This is the only folder with unsafe code,
//! one call a file, each with a safe function around it.

#![allow(unsafe_code)]

mod file_handle;
mod mount_setattr;

pub use file_handle::FileHandle;
pub use mount_setattr::{mount_setattr, AttrChange};

use rustix::io::Errno;

/// The error of the C library, for a call that said that it failed.
fn last_errno() -> Errno {
    Errno::from_io_error(&std::io::Error::last_os_error()).unwrap_or(Errno::IO)
}
