// SPDX-License-Identifier: GPL-2.0
//! System calls that have no wrapper elsewhere.

use std::ffi::CString;
use std::os::fd::{AsFd, AsRawFd, FromRawFd, OwnedFd};
use std::path::Path;

use rustix::io::Errno;

use crate::ops::ok;

/// Result of a system call that tells an error by -1 and `errno`.
pub fn result(returned: i64) -> Result<i64, Errno> {
    if returned != -1 {
        return Ok(returned);
    }
    let code = std::io::Error::last_os_error().raw_os_error();
    Err(code.map_or(Errno::IO, Errno::from_raw_os_error))
}

/// A new descriptor that a system call returned.
pub fn descriptor(returned: i64) -> Result<OwnedFd, Errno> {
    let fd = ok(i32::try_from(result(returned)?));
    // SAFETY: the call has just made the descriptor, and nobody else knows it.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// The path as C takes it.
#[track_caller]
pub fn text(path: impl AsRef<Path>) -> CString {
    ok(CString::new(path.as_ref().as_os_str().as_encoded_bytes()))
}

/// `ioctl(2)` with a structure that the request reads or writes.
///
/// # Safety
///
/// The request must take a structure that has the layout of `T`.
pub unsafe fn ioctl<T>(fd: impl AsFd, request: u64, argument: &mut T) -> Result<i64, Errno> {
    let argument = std::ptr::from_mut(argument);
    // SAFETY: the request gets the structure that it takes.
    let returned = unsafe { libc::ioctl(fd.as_fd().as_raw_fd(), request, argument) };
    result(i64::from(returned))
}

/// `fcntl(2)` with a number.
pub fn fcntl(fd: impl AsFd, command: i32, argument: i32) -> Result<i64, Errno> {
    // SAFETY: only numbers are passed; the commands that take a pointer fail with EFAULT.
    let returned = unsafe { libc::fcntl(fd.as_fd().as_raw_fd(), command, argument) };
    result(i64::from(returned))
}

/// `truncate(2)`
pub fn truncate(path: impl AsRef<Path>, len: i64) -> Result<(), Errno> {
    let path = text(path);
    // SAFETY: the path is a C string.
    let returned = unsafe { libc::truncate(path.as_ptr(), len) };
    result(i64::from(returned)).map(|_| ())
}
