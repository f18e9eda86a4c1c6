// SPDX-License-Identifier: GPL-2.0

//! What security modules say about copying up.
//!
//! C header: [`include/linux/security.h`](srctree/include/linux/security.h)

use crate::{
    cred::AsMounter,
    path::LayerPath, //
};
use core::ptr::{
    self,
    NonNull, //
};
use kernel::{
    cred::Credential,
    prelude::*,
    str::CStr,
    sync::aref::ARef, //
};
use vfs::{
    bindings,
    dentry::Dentry,
    errno::to_result,
    FileSystem, //
};

impl AsMounter {
    /// Runs `f`, which makes the upper object of `dentry`, with the credentials that security
    /// modules want for that (`security_inode_copy_up()`): new objects get their label from them.
    pub fn for_copy_up<F: FileSystem, R>(
        &self,
        dentry: &Dentry<F>,
        f: impl FnOnce(&AsMounter) -> Result<R>,
    ) -> Result<R> {
        dentry.inode().ok_or(ENOENT)?;
        let mut cred = ptr::null_mut();
        // SAFETY: The dentry is valid and positive, the pointer local.
        to_result(unsafe { bindings::security_inode_copy_up(dentry.as_raw(), &mut cred) })?;
        let Some(cred) = NonNull::new(cred) else {
            return f(self);
        };
        // SAFETY: The function returned new credentials with a reference for us; the type is
        // transparent.
        let cred: ARef<Credential> = unsafe { ARef::from_raw(cred.cast()) };
        self.run_with(&cred, f)
    }
}

impl LayerPath<'_> {
    /// Whether the attribute `name` of this object is to be copied up
    /// (`security_inode_copy_up_xattr()`).
    pub fn may_copy_up_xattr(&self, _as_mounter: &AsMounter, name: &CStr) -> Result<bool> {
        self.dentry.inode().ok_or(ENOENT)?;
        // SAFETY: The dentry is valid and positive, the name NUL-terminated.
        let ret = to_result(unsafe {
            bindings::security_inode_copy_up_xattr(self.dentry.as_raw(), name.as_char_ptr())
        });
        match ret {
            Err(err) if err == ECANCELED => Ok(false),
            // No module has an opinion.
            Err(err) if err != EOPNOTSUPP => Err(err),
            _ => Ok(true),
        }
    }
}
