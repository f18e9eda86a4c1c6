// SPDX-License-Identifier: GPL-2.0

//! Looking up names in a directory that is locked already, for reading at least.

use super::qstr;
use crate::{
    bindings,
    dentry::Dentry,
    inode::LockedShared,
    path::PathRef,
    FileSystem,
    Ref, //
};
use kernel::{
    error::from_err_ptr,
    prelude::*, //
};

impl<'a, F: FileSystem> PathRef<'a, F> {
    /// Looks `name` up in this directory, as a caller would (`lookup_one()`). The result may be
    /// negative.
    ///
    /// `EINVAL` if `lock` is of another inode, and for `.` and `..`. Checks the current
    /// credentials' permission to search the directory.
    pub fn lookup_locked(
        &self,
        lock: &LockedShared<'_, F>,
        name: &[u8],
    ) -> Result<Ref<'a, Dentry<F>>> {
        let dir = self.dentry();
        if !dir.inode().is_some_and(|inode| inode.is(lock.inode())) || !dir.can_lookup() {
            return Err(EINVAL);
        }
        let mut qstr = qstr(name)?;
        // SAFETY: Mount and directory are valid, the directory is locked, the name is not kept.
        let dentry = from_err_ptr(unsafe {
            bindings::lookup_one(self.mount().idmap().as_raw(), &mut qstr, dir.as_raw())
        })?;
        // SAFETY: A new reference to a dentry of the same file system.
        Ok(unsafe { Dentry::from_raw_owned(dentry) })
    }
}
