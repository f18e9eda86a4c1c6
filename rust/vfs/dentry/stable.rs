// SPDX-License-Identifier: GPL-2.0

//! Dentries whose name and parent stay for the time of an operation.

use super::Dentry;
use crate::{
    bindings,
    inode::Fetched,
    FileSystem, //
};
use core::ops::Deref;
use kernel::prelude::*;

/// A dentry whose name and parent do not change, because its parent is locked by the caller of the
/// operation, or because nobody else knows of it.
///
/// # Invariants
///
/// The parent's `i_rwsem` is held for writing for `'a`, or nobody else uses the dentry for `'a`.
pub struct Stable<'a, F>(&'a Dentry<F>);

impl<F> Clone for Stable<'_, F> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<F> Copy for Stable<'_, F> {}

impl<F> Deref for Stable<'_, F> {
    type Target = Dentry<F>;

    #[inline]
    fn deref(&self) -> &Dentry<F> {
        self.0
    }
}

impl<F: FileSystem> Stable<'_, F> {
    /// Gives a negative dentry its inode (`d_instantiate()`, `d_instantiate_new()`). The caller's
    /// operation has locked the directory for writing, or nobody else knows of the dentry.
    ///
    /// A new inode is visible to others afterwards, with its name.
    ///
    /// Returns `EEXIST` of a positive dentry, and for a directory that is not new: others may have
    /// given it the one name that it can have. `EXDEV` for an inode of another mount.
    pub fn instantiate<'b>(&self, inode: impl Into<Fetched<'b, F>>) -> Result {
        let inode = inode.into();
        self.check_instantiation(&inode)?;
        match inode {
            Fetched::New(new) if new.is_hashed() => {
                // SAFETY: The dentry is negative; the reference on the inode is passed on, and it is
                // I_NEW for us, to be cleared here.
                unsafe { bindings::d_instantiate_new(self.as_raw(), new.into_raw()) };
            }
            // SAFETY: The dentry is negative; the reference on the inode is passed on.
            other => unsafe {
                bindings::d_instantiate(self.as_raw(), other.into_raw());
            },
        }
        Ok(())
    }

    /// Whether the dentry may get `inode`.
    pub(crate) fn check_instantiation(&self, inode: &Fetched<'_, F>) -> Result {
        let (sb, has_name) = match inode {
            Fetched::New(new) => (new.sb(), false),
            Fetched::Existing(inode) => (inode.sb(), inode.is_dir()),
        };
        if has_name || !self.is_negative() {
            return Err(EEXIST);
        }
        if !core::ptr::eq(sb, self.sb()) {
            return Err(EXDEV);
        }
        Ok(())
    }
}

impl<'a, F> Stable<'a, F> {
    /// Makes one from a raw pointer.
    ///
    /// # Safety
    ///
    /// As for [`Dentry::from_raw`], and the type invariant must hold.
    #[inline]
    pub(crate) unsafe fn from_raw(ptr: *mut bindings::dentry) -> Self {
        // INVARIANT: By the safety requirements.
        // SAFETY: By the safety requirements.
        Self(unsafe { Dentry::from_raw(ptr) })
    }

    /// The dentry itself, with the lifetime of the operation.
    #[inline]
    pub fn dentry(&self) -> &'a Dentry<F> {
        self.0
    }

    /// The name, without a terminating NUL.
    #[inline]
    pub fn name(&self) -> &'a [u8] {
        // SAFETY: By the type invariant the name does not change and is not freed for `'a`.
        unsafe { self.0.name_bytes() }
    }

    /// The name as C has it, for functions that take a `struct qstr`.
    #[inline]
    pub(crate) fn name_raw(&self) -> *const bindings::qstr {
        self.0.name_raw()
    }

    /// The parent.
    #[inline]
    pub fn stable_parent(&self) -> &'a Dentry<F> {
        // SAFETY: By the type invariant the parent does not change, and a dentry pins its parent.
        unsafe { Dentry::from_raw((*self.0.as_raw()).d_parent) }
    }
}
