// SPDX-License-Identifier: GPL-2.0

//! Extended attributes of objects of layers.
//!
//! C header: [`include/linux/xattr.h`](srctree/include/linux/xattr.h)

use crate::{
    cred::AsMounter,
    mount::WriteGuard,
    path::LayerPath, //
};
use core::ptr;
use kernel::{
    prelude::*,
    str::CStr, //
};
use vfs::{
    bindings,
    dentry::Dentry,
    errno::to_result,
    xattr::{
        length,
        Name, //
    },
    Foreign, //
};

impl LayerPath<'_> {
    /// Reads an attribute of a layer's object into `value` and returns its length
    /// (`vfs_getxattr()`). `ERANGE` where it is longer.
    ///
    /// An empty buffer asks for the length.
    #[inline]
    pub fn getxattr<'n>(
        &self,
        _as_mounter: &AsMounter,
        name: impl Into<Name<'n>>,
        value: &mut [u8],
    ) -> Result<usize> {
        self.dentry.inode().ok_or(ENOENT)?;
        let ptr = if value.is_empty() {
            ptr::null_mut()
        } else {
            value.as_mut_ptr()
        };
        // SAFETY: The path is valid and positive, the name NUL-terminated, and the buffer has that
        // length.
        length(unsafe {
            bindings::vfs_getxattr(
                self.mount.idmap().as_raw(),
                self.dentry.as_raw(),
                name.into().as_char_ptr(),
                ptr.cast(),
                value.len(),
            )
        })
    }

    /// Reads an attribute of any length into `value`, which grows as needed, and returns its length.
    ///
    /// `EIO` where it changes too fast.
    pub fn getxattr_growing(
        &self,
        as_mounter: &AsMounter,
        name: &CStr,
        value: &mut KVVec<u8>,
    ) -> Result<usize> {
        let len = match self.getxattr(as_mounter, name, value) {
            Err(err) if err == ERANGE => {
                let len = self.getxattr(as_mounter, name, &mut [])?;
                if len <= value.len() {
                    return Err(EIO);
                }
                len
            }
            result => result?,
        };
        if len <= value.len() {
            return Ok(len);
        }
        value.resize(len, 0, GFP_KERNEL)?;
        match self.getxattr(as_mounter, name, value) {
            Err(err) if err == ERANGE => Err(EIO),
            result => result,
        }
    }

    /// Reads an attribute of any length: into `short` if it fits there, else into a new `long`.
    ///
    /// Returns the same errors as [`Self::getxattr_growing`].
    pub fn getxattr_in<'v>(
        &self,
        as_mounter: &AsMounter,
        name: &CStr,
        short: &'v mut [u8],
        long: &'v mut Option<KVVec<u8>>,
    ) -> Result<&'v [u8]> {
        let value = match self.getxattr(as_mounter, name, short) {
            Err(err) if err == ERANGE => {
                let long = long.insert(KVVec::new());
                let len = self.getxattr_growing(as_mounter, name, long)?;
                long.get(..len)
            }
            len => short.get(..len?),
        };
        Ok(value.unwrap_or_default())
    }

    /// Lists the attributes of a layer's object, each with a NUL, and returns the length
    /// (`vfs_listxattr()`).
    ///
    /// An empty buffer asks for the length.
    #[inline]
    pub fn listxattr(&self, _as_mounter: &AsMounter, list: &mut [u8]) -> Result<usize> {
        self.dentry.inode().ok_or(ENOENT)?;
        let ptr = if list.is_empty() {
            ptr::null_mut()
        } else {
            list.as_mut_ptr()
        };
        // SAFETY: The dentry is valid and positive, and the buffer has that length.
        length(unsafe { bindings::vfs_listxattr(self.dentry.as_raw(), ptr.cast(), list.len()) })
    }
}

impl WriteGuard<'_> {
    /// Sets an attribute of a layer's object, whose inode is not locked (`vfs_setxattr()`).
    ///
    /// Access control lists have functions of their own, see [`crate::posix_acl`].
    pub fn setxattr(
        &self,
        as_mounter: &AsMounter,
        dentry: &Dentry<Foreign>,
        name: &CStr,
        value: &[u8],
    ) -> Result {
        self.setxattr_flags(as_mounter, dentry, name, value, 0)
    }

    /// As [`setxattr`](Self::setxattr), with `XATTR_CREATE` or `XATTR_REPLACE` in `flags`.
    pub fn setxattr_flags<'n>(
        &self,
        as_mounter: &AsMounter,
        dentry: &Dentry<Foreign>,
        name: impl Into<Name<'n>>,
        value: &[u8],
        flags: i32,
    ) -> Result {
        as_mounter.check()?;
        self.check(dentry)?;
        dentry.inode().ok_or(ENOENT)?;
        // SAFETY: The dentry is valid and positive, the name NUL-terminated, and the value has that
        // length.
        to_result(unsafe {
            bindings::vfs_setxattr(
                self.mount().idmap().as_raw(),
                dentry.as_raw(),
                name.into().as_char_ptr(),
                value.as_ptr().cast(),
                value.len(),
                flags,
            )
        })
    }

    /// Removes an attribute of a layer's object, whose inode is not locked (`vfs_removexattr()`).
    ///
    /// Returns `ENODATA` where there is none.
    pub fn removexattr<'n>(
        &self,
        as_mounter: &AsMounter,
        dentry: &Dentry<Foreign>,
        name: impl Into<Name<'n>>,
    ) -> Result {
        as_mounter.check()?;
        self.check(dentry)?;
        dentry.inode().ok_or(ENOENT)?;
        // SAFETY: The dentry is valid and positive, the name NUL-terminated.
        to_result(unsafe {
            bindings::vfs_removexattr(
                self.mount().idmap().as_raw(),
                dentry.as_raw(),
                name.into().as_char_ptr(),
            )
        })
    }
}
