// SPDX-License-Identifier: GPL-2.0

//! File attributes of objects of layers.
//!
//! C header: [`include/linux/fileattr.h`](srctree/include/linux/fileattr.h)

use crate::{
    cred::AsMounter,
    mount::WriteGuard,
    path::LayerPath, //
};
use core::ptr::NonNull;
use kernel::{
    error::from_err_ptr,
    fs::File,
    prelude::*,
    sync::aref::ARef, //
};
use vfs::{
    bindings,
    dentry::Dentry,
    errno::to_result,
    fileattr::FileKattr,
    Foreign, //
};

impl LayerPath<'_> {
    /// Gets the attributes of a layer's object (`vfs_fileattr_get()`). Security modules are asked as
    /// for the ioctl, for which the object is opened for a moment.
    ///
    /// Returns `ENOTTY` where its file system has no attributes.
    pub fn get_fileattr(&self, as_mounter: &AsMounter, attrs: &mut FileKattr) -> Result {
        self.fileattr_security(as_mounter, attrs, false)?;
        // SAFETY: The dentry is positive, since it was opened above.
        let ret = unsafe { bindings::vfs_fileattr_get(self.dentry.as_raw(), attrs.as_raw()) };
        to_result(ret).map_err(|err| if err == ENOIOCTLCMD { ENOTTY } else { err })
    }

    /// Asks the security modules. They take an open file, though there is none.
    fn fileattr_security(
        &self,
        _as_mounter: &AsMounter,
        attrs: &mut FileKattr,
        set: bool,
    ) -> Result {
        self.dentry.inode().ok_or(ENOENT)?;
        let flags = bindings::O_RDONLY | bindings::O_LARGEFILE;
        // SAFETY: The path is valid and positive, and the current credentials are the mounter's.
        // CAST: flag bits.
        let file = from_err_ptr(unsafe {
            bindings::dentry_open(
                &self.to_raw(),
                flags as c_int,
                bindings::rvfs_current_cred(),
            )
        })?;
        // SAFETY: `dentry_open()` returns a file.
        let file = unsafe { NonNull::new_unchecked(file.cast()) };
        // SAFETY: The reference is new; the file has no position lock in use.
        let file: ARef<File> = unsafe { ARef::from_raw(file) };
        // SAFETY: Both are valid.
        to_result(unsafe { bindings::rvfs_security_fileattr(file.as_ptr(), attrs.as_raw(), set) })
    }
}

impl WriteGuard<'_> {
    /// Sets the attributes of a layer's object (`vfs_fileattr_set()`), with the mounter's
    /// permission. Security modules are asked as for the ioctl. Takes `i_rwsem` of the inode.
    ///
    /// What `attrs` does not say is filled in with the object's own.
    pub fn set_fileattr(
        &self,
        as_mounter: &AsMounter,
        dentry: &Dentry<Foreign>,
        attrs: &mut FileKattr,
    ) -> Result {
        as_mounter.check()?;
        let path = LayerPath::new(self.mount(), dentry)?;
        path.fileattr_security(as_mounter, attrs, true)?;
        // SAFETY: The dentry is positive, since it was opened above.
        to_result(unsafe {
            bindings::vfs_fileattr_set(
                self.mount().idmap().as_raw(),
                dentry.as_raw(),
                attrs.as_raw(),
            )
        })
    }
}
