// SPDX-License-Identifier: GPL-2.0

//! System calls that no crate in use has as a safe function. This is the only folder with unsafe code,
//! one call a file, each with a safe function around it.

#![allow(unsafe_code)]

mod ask;
mod file_handle;
mod fs_uuid;
mod mount_setattr;
mod signals;
mod verity;

pub use ask::{ask, ask_anyway};
pub use file_handle::FileHandle;
pub use fs_uuid::fs_uuid;
pub use mount_setattr::{mount_setattr, AttrChange};
pub use signals::Signals;
pub use verity::measure_verity;

use rustix::io::Errno;

/// The error of the C library, for a call that said that it failed.
fn last_errno() -> Errno {
    Errno::from_io_error(&std::io::Error::last_os_error()).unwrap_or(Errno::IO)
}
