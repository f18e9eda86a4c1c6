// SPDX-License-Identifier: GPL-2.0

//! Targets of symbolic links of layers.

use crate::cred::AsMounter;
use core::marker::PhantomData;
use kernel::{
    prelude::*,
    str::CStr, //
};
use vfs::{
    bindings,
    dentry::Dentry,
    errno::from_err_ptr,
    inode::{
        DelayedCall,
        Link, //
    },
    Foreign, //
};

/// A symbolic link of a layer.
pub trait ForeignLink {
    /// The target of a symbolic link of a layer (`vfs_get_link()`).
    ///
    /// Returns `EINVAL` for a link that leads to an object itself (`nd_jump_link()`), unless a task is on
    /// its way there.
    fn get_link<'a>(&'a self, as_mounter: &AsMounter, done: DelayedCall<'a>) -> Result<Link<'a>>;

    /// The target of a symbolic link of a layer, to be read here. Returns `EIO` where there is none,
    /// and `EINVAL` for one that leads to an object itself.
    fn read_link(&self, as_mounter: &AsMounter) -> Result<LinkTarget<'_>>;
}

/// `in_walk`: whether a task is on its way along the link.
#[inline]
fn get_link<'a>(
    dentry: &'a Dentry<Foreign>,
    done: DelayedCall<'a>,
    in_walk: bool,
) -> Result<Link<'a>> {
    // SAFETY: The dentry is valid and `done` is the caller's empty delayed call.
    let raw = unsafe { bindings::rvfs_vfs_get_link(dentry.as_raw(), done.as_raw(), in_walk) };
    let raw = from_err_ptr(raw.cast_mut())?;
    // SAFETY: Null, or a target that stays until the delayed call.
    Ok(unsafe { Link::from_raw(raw.cast_const()) })
}

impl ForeignLink for Dentry<Foreign> {
    #[inline]
    fn get_link<'a>(&'a self, _as_mounter: &AsMounter, done: DelayedCall<'a>) -> Result<Link<'a>> {
        get_link(self, done, true)
    }

    fn read_link(&self, _as_mounter: &AsMounter) -> Result<LinkTarget<'_>> {
        let mut done = bindings::delayed_call::default();
        // SAFETY: Empty, and called below or when the target is dropped.
        let call = unsafe { DelayedCall::from_raw(&mut done) };
        let target = get_link(self, call, false)?.as_raw();
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
