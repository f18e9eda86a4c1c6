// SPDX-License-Identifier: GPL-2.0

//! Reasons: error numbers of a file system's own, each of which stands for one of C's.
//!
//! The number says more than its errno, for a message or a test. It never leaves the file system: the
//! tables of operations give [`class`](WithReason::class) of an error to the VFS. Code that looks at an
//! error compares with [`is`](WithReason::is), not with `==`.
//!
//! As in bcachefs, the numbers are those from 2048 to `MAX_ERRNO`, of which the kernel has none.

use core::{
    mem,
    num::NonZeroI32, //
};
use kernel::{
    bindings,
    error::Result,
    prelude::*, //
};

/// The errno's that there can be reasons for, by their place in the numbers of these.
const CLASSES: [Error; 7] = [EINVAL, EIO, ESTALE, EPERM, EREMOTE, ELOOP, EXDEV];

/// The last number of an error.
const MAX_ERRNO: c_int = bindings::MAX_ERRNO as c_int;

/// The first number of a reason.
const FIRST: c_int = 2048;

/// How many reasons an errno can have.
const PER_CLASS: c_int = 256;

/// An errno that there can be reasons for.
#[derive(Clone, Copy)]
pub enum Class {
    /// `EINVAL`
    Einval = 0,
    /// `EIO`
    Eio = 1,
    /// `ESTALE`
    Estale = 2,
    /// `EPERM`
    Eperm = 3,
    /// `EREMOTE`
    Eremote = 4,
    /// `ELOOP`
    Eloop = 5,
    /// `EXDEV`
    Exdev = 6,
}

impl Class {
    /// The error for the reason with number `index`, of which the file system has a list.
    pub const fn reason(self, index: u8) -> Error {
        let number = self as c_int * PER_CLASS + index as c_int;
        let Some(errno) = NonZeroI32::new(-(FIRST + number)) else {
            return EIO;
        };
        const { assert!(size_of::<Error>() == size_of::<NonZeroI32>()) };
        const { assert!(FIRST + CLASSES.len() as c_int * PER_CLASS - 1 <= MAX_ERRNO) };
        // SAFETY: The one member of an `Error`, which is not larger, is a `NonZeroI32`, and any from -1 to
        // `-MAX_ERRNO` is valid.
        unsafe { mem::transmute::<NonZeroI32, Error>(errno) }
    }

    /// The errno.
    pub const fn errno(self) -> Error {
        CLASSES[self as usize]
    }
}

/// What an error with a reason can be asked.
pub trait WithReason {
    /// The errno that callers of the file system get.
    fn class(self) -> Error;
    /// Whether callers of the file system get `errno`.
    fn is(self, errno: Error) -> bool;
    /// The index of the reason among those of its errno, if it has one.
    fn reason(self) -> Option<u8>;
}

impl WithReason for Error {
    // Of errors only, and small callbacks stay so.
    #[cold]
    #[inline(never)]
    fn class(self) -> Error {
        match number(self) {
            Some(number) => CLASSES
                .get(usize::from(number / PER_CLASS as u16))
                .copied()
                .unwrap_or(EIO),
            None => self,
        }
    }

    fn is(self, errno: Error) -> bool {
        self.class() == errno
    }

    fn reason(self) -> Option<u8> {
        number(self).map(|number| (number % PER_CLASS as u16) as u8)
    }
}

/// The number of the reason of `err` among all that there can be.
fn number(err: Error) -> Option<u16> {
    let number = err.to_errno().checked_neg()?.checked_sub(FIRST)?;
    u16::try_from(number).ok()
}

/// As the kernel crate's, in place: most calls of C succeed, and then there is nothing to call.
#[inline(always)]
pub fn to_result(err: c_int) -> Result {
    if err < 0 {
        return Err(Error::from_errno(err));
    }
    Ok(())
}

/// As the kernel crate's, in place: a pointer that C returned, or the error that it is.
#[inline(always)]
pub fn from_err_ptr<T>(ptr: *mut T) -> Result<*mut T> {
    // CAST: an error is a small negative number.
    let err = ptr.addr() as isize;
    if (-(bindings::MAX_ERRNO as isize)..0).contains(&err) {
        return Err(Error::from_errno(err as c_int));
    }
    Ok(ptr)
}

/// As the kernel crate's: runs `f` for C, which gets the class of an error.
#[inline]
pub(crate) fn from_result<T: From<i16>>(f: impl FnOnce() -> Result<T>) -> T {
    kernel::error::from_result(|| f().map_err(WithReason::class))
}

#[cfg(rovl_kunit)]
#[kernel::macros::kunit_tests(rovl_vfs_errno)]
mod tests {
    use super::*;

    #[test]
    fn reasons_are_of_their_class() {
        for index in [0, 1, 255] {
            assert!(Class::Einval.reason(index).is(EINVAL));
            assert!(Class::Estale.reason(index).is(ESTALE));
            assert!(Class::Exdev.reason(index).is(EXDEV));
            assert_eq!(Class::Eio.reason(index).reason(), Some(index));
        }
        assert!(Class::Eio.reason(3) != Class::Eio.reason(4));
    }

    #[test]
    fn errno_is_its_own_class() {
        assert!(ENOENT.class() == ENOENT && ENOENT.is(ENOENT));
        assert!(!EIO.is(EINVAL));
        assert_eq!(EIO.reason(), None);
        assert_eq!(ERESTARTSYS.reason(), None);
    }
}
