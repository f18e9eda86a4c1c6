// SPDX-License-Identifier: GPL-2.0

//! Dentries that are the directory entries themselves, in file systems that have no other.
//!
//! Such a dentry is *persistent*: it has a reference of its own, so that it stays though nobody uses
//! it, and a lookup that does not find one knows that the name is free.

use super::{
    Child,
    Dentry,
    Negative, //
};
use crate::{
    bindings,
    inode::Fetched,
    FileSystem, //
};
use kernel::prelude::*;

impl<F: FileSystem> Dentry<F> {
    /// Whether no name exists in this directory, of which all entries are persistent dentries
    /// (`simple_empty()`). Also of what is not a directory.
    pub fn has_no_entries(&self) -> bool {
        // SAFETY: Valid by the type invariant; the function takes the locks that it needs.
        unsafe { bindings::simple_empty(self.as_raw()) != 0 }
    }
}

impl<'a, F: FileSystem> Negative<'a, F> {
    /// Gives it an inode, and makes it persistent (`d_make_persistent()`).
    ///
    /// Returns errors as [`instantiate`](Self::instantiate) does, and `EINVAL` for a new inode that is
    /// in the inode cache.
    pub fn make_persistent<'b>(self, inode: impl Into<Fetched<'b, F>>) -> Result<Child<'a, F>> {
        let inode = inode.into();
        self.check_instantiation(&inode)?;
        if matches!(&inode, Fetched::New(new) if new.is_hashed()) {
            return Err(EINVAL);
        }
        // SAFETY: The dentry is negative; the reference on the inode is passed on.
        unsafe { bindings::d_make_persistent(self.as_raw(), inode.into_raw()) };
        Ok(self.into_child())
    }
}

impl<F: FileSystem> Child<'_, F> {
    /// Takes back [`Negative::make_persistent`] (`d_make_discardable()`), because the name is removed.
    pub fn make_discardable(&self) {
        if self.flags() & bindings::dentry_flags_DCACHE_PERSISTENT != 0 {
            // SAFETY: Persistent, and with the directory locked nobody else takes it back. The
            // caller's reference keeps the dentry.
            unsafe { bindings::d_make_discardable(self.as_raw()) };
        }
    }
}
