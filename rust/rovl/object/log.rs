// SPDX-License-Identifier: GPL-2.0

//! Messages in the kernel's log, limited in rate, which name the reason of an error.

use crate::{
    object::reason,
    Rovl, //
};
use kernel::{
    prelude::*,
    str::CStr, //
};
use vfs::{
    dentry::Dentry,
    log::Subject, //
};

/// Warns.
pub(crate) fn warn(message: &CStr) {
    vfs::log::warn::<Rovl>(message);
}

/// Warns about a dentry, with an error.
#[inline]
pub(crate) fn warn_dentry<F>(message: &CStr, dentry: &Dentry<F>, err: Error) {
    warn_about(message.to_bytes(), dentry.into(), err);
}

/// The same with a message that has no NUL at its end.
#[inline]
pub(crate) fn warn_text<F>(message: &str, dentry: &Dentry<F>, err: Error) {
    warn_about(message.as_bytes(), dentry.into(), err);
}

#[cold]
#[inline(never)]
fn warn_about(message: &[u8], dentry: Subject<'_>, err: Error) {
    vfs::log::warn_about::<Rovl>(message, dentry, err, reason::name(err));
}

/// Warns about the entry `name` of `dir`, with an error.
#[cold]
#[inline(never)]
pub(crate) fn warn_name<F>(message: &CStr, dir: &Dentry<F>, name: &[u8], err: Error) {
    vfs::log::warn_name::<Rovl>(message, dir.into(), name, err, reason::name(err));
}
