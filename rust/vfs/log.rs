// SPDX-License-Identifier: GPL-2.0

//! Messages in the kernel's log, limited in rate (`pr_warn_ratelimited()`), which begin as the file
//! system says ([`FileSystem::LOG_PREFIX`]).

use crate::{
    bindings,
    dentry::Dentry,
    errno::WithReason,
    FileSystem, //
};
use core::marker::PhantomData;
use kernel::{
    prelude::*,
    str::CStr, //
};

/// The dentry that a message is about, of whichever file system.
#[derive(Clone, Copy)]
pub struct Subject<'a>(*mut bindings::dentry, PhantomData<&'a ()>);

impl Subject<'_> {
    /// The raw pointer.
    pub(crate) fn as_raw(&self) -> *mut bindings::dentry {
        self.0
    }
}

impl<'a, F> From<&'a Dentry<F>> for Subject<'a> {
    #[inline]
    fn from(dentry: &'a Dentry<F>) -> Self {
        Self(dentry.as_raw(), PhantomData)
    }
}

/// Warns about `subject` (`%pd2`), with an error and the name of the reason behind it, if it has one.
#[cold]
pub fn warn_about<F: FileSystem>(message: &[u8], subject: Subject<'_>, err: Error, reason: &[u8]) {
    let (Ok(len), Ok(reason_len)) = (
        c_int::try_from(message.len()),
        c_int::try_from(reason.len()),
    ) else {
        return;
    };
    // SAFETY: The texts have these lengths or end with a NUL, and the dentry is borrowed.
    unsafe {
        bindings::rvfs_warn_dentry(
            F::LOG_PREFIX.as_char_ptr(),
            message.as_ptr().cast(),
            len,
            subject.0,
            err.class().to_errno(),
            reason.as_ptr().cast(),
            reason_len,
        )
    };
}

/// The same about the entry `name` of the directory `dir`.
#[cold]
pub fn warn_name<F: FileSystem>(
    message: &CStr,
    dir: Subject<'_>,
    name: &[u8],
    err: Error,
    reason: &[u8],
) {
    let (Ok(len), Ok(reason_len)) = (c_int::try_from(name.len()), c_int::try_from(reason.len()))
    else {
        return;
    };
    // SAFETY: Prefix and message end with a NUL, the others have these lengths, and the dentry is borrowed.
    unsafe {
        bindings::rvfs_warn_name(
            F::LOG_PREFIX.as_char_ptr(),
            message.as_char_ptr(),
            dir.0,
            name.as_ptr().cast(),
            len,
            err.class().to_errno(),
            reason.as_ptr().cast(),
            reason_len,
        )
    };
}

/// Warns.
pub fn warn<F: FileSystem>(message: &CStr) {
    // SAFETY: Both texts are NUL-terminated.
    unsafe { bindings::rvfs_warn(F::LOG_PREFIX.as_char_ptr(), message.as_char_ptr()) };
}
