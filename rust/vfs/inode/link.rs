// SPDX-License-Identifier: GPL-2.0

//! Targets of symbolic links.

use crate::{
    bindings,
    cred::AsMounter,
    dentry::Dentry,
    Foreign, //
};
use core::marker::PhantomData;
use kernel::{
    error::from_err_ptr,
    prelude::*,
    str::CStr, //
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

impl<'a> Link<'a> {
    /// A target that is kept with the inode, so that nothing has to be freed after use.
    pub fn kept(target: &'a CStr) -> Self {
        Self {
            raw: target.as_char_ptr(),
            _life: PhantomData,
        }
    }
}

impl Dentry<Foreign> {
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

/// The target of a symbolic link of a layer, until it is dropped.
///
/// # Invariants
///
/// `target` is NUL-terminated and stays until `done` is called, which nobody else does.
pub struct LinkTarget<'a> {
    target: *const c_char,
    done: bindings::delayed_call,
    _life: PhantomData<&'a ()>,
}

impl LinkTarget<'_> {
    /// The target.
    pub fn as_c_str(&self) -> &CStr {
        // SAFETY: By the type invariant.
        unsafe { CStr::from_char_ptr(self.target) }
    }
}

impl Drop for LinkTarget<'_> {
    fn drop(&mut self) {
        // SAFETY: By the type invariant; the target is not used any more.
        unsafe { bindings::rvfs_do_delayed_call(&mut self.done) };
    }
}

impl Dentry<Foreign> {
    /// The target of a symbolic link of a layer, to be read here. Returns `EIO` where there is none.
    pub fn read_link(&self, as_mounter: &AsMounter) -> Result<LinkTarget<'_>> {
        let mut done = bindings::delayed_call::default();
        let call = DelayedCall {
            raw: &mut done,
            _life: PhantomData,
        };
        let target = self.get_link(as_mounter, call)?.raw;
        if target.is_null() {
            // SAFETY: Empty, or set by `get_link`.
            unsafe { bindings::rvfs_do_delayed_call(&mut done) };
            return Err(EIO);
        }
        // INVARIANT: As `vfs_get_link()` returned it, with the call that ends it.
        Ok(LinkTarget {
            target,
            done,
            _life: PhantomData,
        })
    }
}
