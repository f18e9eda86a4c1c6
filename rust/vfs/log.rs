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
    warn_bytes(message.to_bytes(), dentry, err);
}

/// The same with a message that has no NUL at its end.
pub fn warn_text<F>(message: &str, dentry: &Dentry<F>, err: Error) {
    warn_bytes(message.as_bytes(), dentry, err);
}

fn warn_bytes<F>(message: &[u8], dentry: &Dentry<F>, err: Error) {
    let Ok(len) = c_int::try_from(message.len()) else {
        return;
    };
    let message = message.as_ptr().cast();
    // SAFETY: The message has that length, and the dentry is valid.
    unsafe { bindings::rvfs_warn_dentry(message, len, dentry.as_raw(), err.to_errno()) };
}

/// Warns about the entry `name` of `dir`, with an error.
pub fn warn_name<F>(message: &CStr, dir: &Dentry<F>, name: &[u8], err: Error) {
    let Ok(len) = c_int::try_from(name.len()) else {
        return;
    };
    // SAFETY: The message is NUL-terminated, the dentry valid, and the name has that length.
    unsafe {
        bindings::rvfs_warn_name(
            message.as_char_ptr(),
            dir.as_raw(),
            name.as_ptr().cast(),
            len,
            err.to_errno(),
        )
    };
}

/// Warns (`pr_warn_ratelimited()`).
pub fn warn(message: &CStr) {
    // SAFETY: The message is NUL-terminated.
    unsafe { bindings::rvfs_warn(message.as_char_ptr()) };
}
