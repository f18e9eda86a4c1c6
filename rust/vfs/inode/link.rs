// SPDX-License-Identifier: GPL-2.0

//! Targets of symbolic links.

use crate::{
    bindings,
    cred::AsMounter,
    dentry::Dentry,
    Layer, //
};
use core::marker::PhantomData;
use kernel::{
    error::from_err_ptr,
    prelude::*,
    str::{
        CStr,
        CString, //
    },
};

/// Where a link's target is put that has to be freed after use (`struct delayed_call`).
pub struct DelayedCall<'a> {
    pub(super) raw: *mut bindings::delayed_call,
    pub(super) _life: PhantomData<&'a ()>,
}

/// The target of a link, valid until the delayed call.
pub struct Link<'a> {
    pub(super) raw: *const c_char,
    pub(super) _life: PhantomData<&'a ()>,
}

impl Dentry<Layer> {
    /// The target of a symbolic link of a layer (`vfs_get_link()`).
    pub fn get_link<'a>(
        &'a self,
        _as_mounter: &AsMounter,
        done: DelayedCall<'a>,
    ) -> Result<Link<'a>> {
        // SAFETY: The dentry is valid and `done` is the caller's empty delayed call.
        let raw = unsafe { bindings::rvfs_vfs_get_link(self.as_raw(), done.raw) };
        Ok(Link {
            raw: from_err_ptr(raw.cast_mut())?.cast_const(),
            _life: PhantomData,
        })
    }
}

impl Dentry<Layer> {
    /// A copy of the target of a symbolic link of a layer.
    pub fn read_link(&self, as_mounter: &AsMounter) -> Result<CString> {
        let mut done = bindings::delayed_call::default();
        let call = DelayedCall {
            raw: &mut done,
            _life: PhantomData,
        };
        let target = self.get_link(as_mounter, call).and_then(|link| {
            if link.raw.is_null() {
                return Err(EIO);
            }
            // SAFETY: NUL-terminated, and valid until the delayed call.
            Ok(CString::try_from(unsafe { CStr::from_char_ptr(link.raw) })?)
        });
        // SAFETY: Empty, or set by `get_link`; the target is not used any more.
        unsafe { bindings::rvfs_do_delayed_call(&mut done) };
        target
    }
}
