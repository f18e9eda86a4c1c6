// SPDX-License-Identifier: GPL-2.0

//! The requests that a mount of ours answers.

use ioctls::Exchange;
use rustix::fd::{AsFd, AsRawFd};
use rustix::io::Errno;

/// Asks the mount that `file` is on, which has to be open and not for its path only. `ENOTTY` is the answer
/// of all that does not know the request.
pub fn ask<T: Exchange>(file: impl AsFd, request: u32, asked: &T) -> Result<T, Errno> {
    let (result, told) = ask_anyway(file, request, asked);
    result.map(|()| told)
}

/// The same where something is told with an error, too.
pub fn ask_anyway<T: Exchange>(file: impl AsFd, request: u32, asked: &T) -> (Result<(), Errno>, T) {
    let mut bytes = vec![0; T::LEN];
    asked.put(&mut bytes);
    // SAFETY: the structure begins with its size, which is that of the buffer, so that no more is written.
    let result = unsafe {
        libc::ioctl(
            file.as_fd().as_raw_fd(),
            libc::c_ulong::from(request),
            bytes.as_mut_ptr(),
        )
    };
    let result = if result < 0 {
        Err(super::last_errno())
    } else {
        Ok(())
    };
    (result, T::from_bytes(&bytes))
}
