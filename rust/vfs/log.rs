// SPDX-License-Identifier: GPL-2.0

//! Rate-limited messages about layers.

use crate::{
    bindings,
    dentry::Dentry, //
};
use kernel::{
    prelude::*,
    str::CStr, //
};

/// Warns about `dentry`, with an error (`pr_warn_ratelimited()` with `%pd2`).
pub fn warn_dentry<F>(message: &CStr, dentry: &Dentry<F>, err: Error) {
    // SAFETY: The message is NUL-terminated and the dentry valid.
    unsafe { bindings::rvfs_warn_dentry(message.as_char_ptr(), dentry.as_raw(), err.to_errno()) };
}

/// Warns (`pr_warn_ratelimited()`).
pub fn warn(message: &CStr) {
    // SAFETY: The message is NUL-terminated.
    unsafe { bindings::rvfs_warn(message.as_char_ptr()) };
}
