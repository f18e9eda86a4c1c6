// SPDX-License-Identifier: GPL-2.0

//! File attributes, as chattr(1) and xfs_io(8) change them.
//!
//! C header: [`include/linux/fileattr.h`](srctree/include/linux/fileattr.h)

use crate::{
    bindings,
    cred::AsMounter,
    dentry::Dentry,
    mount::WriteGuard,
    path::LayerPath,
    Foreign, //
};
use core::ptr::NonNull;
use kernel::{
    error::{
        from_err_ptr,
        to_result, //
    },
    fs::File,
    prelude::*,
    sync::aref::ARef, //
};

/// An attribute that both of the interfaces of `struct file_kattr` know: the flags of
/// `FS_IOC_GETFLAGS` and those of `FS_IOC_FSGETXATTR`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Attr {
    flag: u32,
    xflag: u32,
}

impl Attr {
    /// Data can only be appended.
    pub const APPEND: Self = Self {
        flag: bindings::FS_APPEND_FL,
        xflag: bindings::FS_XFLAG_APPEND,
    };
    /// Nothing can be changed.
    pub const IMMUTABLE: Self = Self {
        flag: bindings::FS_IMMUTABLE_FL,
        xflag: bindings::FS_XFLAG_IMMUTABLE,
    };
    /// Changes are written at once.
    pub const SYNC: Self = Self {
        flag: bindings::FS_SYNC_FL,
        xflag: bindings::FS_XFLAG_SYNC,
    };
    /// The access time does not change.
    pub const NOATIME: Self = Self {
        flag: bindings::FS_NOATIME_FL,
        xflag: bindings::FS_XFLAG_NOATIME,
    };
}

/// `struct file_kattr`.
#[repr(transparent)]
pub struct FileKattr(bindings::file_kattr);

impl FileKattr {
    /// An empty one that asks for the flags of `FS_IOC_GETFLAGS`.
    pub fn for_flags() -> Self {
        let mut raw = bindings::file_kattr::default();
        raw.set_flags_valid(true);
        Self(raw)
    }

    /// Makes a reference from a raw pointer.
    ///
    /// # Safety
    ///
    /// `ptr` must be valid for `'a`, and nobody else may use it meanwhile.
    pub(crate) unsafe fn from_raw<'a>(ptr: *mut bindings::file_kattr) -> &'a mut Self {
        // SAFETY: By the safety requirements; the type is transparent.
        unsafe { &mut *ptr.cast() }
    }

    /// Whether `attr` is among the flags.
    pub fn has(&self, attr: Attr) -> bool {
        self.0.flags & attr.flag != 0
    }

    /// Adds `attr`, in both forms.
    pub fn insert(&mut self, attr: Attr) {
        self.0.flags |= attr.flag;
        self.0.fsx_xflags |= attr.xflag;
    }

    /// Takes `attr` away, in both forms.
    pub fn remove(&mut self, attr: Attr) {
        self.0.flags &= !attr.flag;
        self.0.fsx_xflags &= !attr.xflag;
    }

    /// Makes `attr` what it is in `from`, each form for itself.
    pub fn copy(&mut self, attr: Attr, from: &Self) {
        self.0.flags = (self.0.flags & !attr.flag) | (from.0.flags & attr.flag);
        self.0.fsx_xflags = (self.0.fsx_xflags & !attr.xflag) | (from.0.fsx_xflags & attr.xflag);
    }
}

impl LayerPath<'_> {
    /// Gets the attributes of a layer's object (`vfs_fileattr_get()`). Security modules are asked as
    /// for the ioctl, for which the object is opened for a moment.
    ///
    /// Returns `ENOTTY` where its file system has no attributes.
    pub fn get_fileattr(&self, as_mounter: &AsMounter, attrs: &mut FileKattr) -> Result {
        self.fileattr_security(as_mounter, attrs, false)?;
        // SAFETY: The dentry is positive, since it was opened above.
        let ret = unsafe { bindings::vfs_fileattr_get(self.dentry.as_raw(), &mut attrs.0) };
        to_result(ret).map_err(|err| if err == ENOIOCTLCMD { ENOTTY } else { err })
    }

    /// Asks the security modules. They take an open file, though there is none.
    fn fileattr_security(&self, _as_mounter: &AsMounter, attrs: &FileKattr, set: bool) -> Result {
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
        to_result(unsafe { bindings::rvfs_security_fileattr(file.as_ptr(), &attrs.0, set) })
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
            bindings::vfs_fileattr_set(self.mount().idmap().as_raw(), dentry.as_raw(), &mut attrs.0)
        })
    }
}
