// SPDX-License-Identifier: GPL-2.0

//! POSIX access control lists.
//!
//! C header: [`include/linux/posix_acl.h`](srctree/include/linux/posix_acl.h)

use crate::{
    bindings,
    cred::AsMounter,
    dentry::Dentry,
    mount::WriteGuard,
    path::LayerPath,
    Layer, //
};
use core::{
    mem::ManuallyDrop,
    ptr::NonNull, //
};
use kernel::{
    error::{
        from_err_ptr,
        to_result, //
    },
    prelude::*,
    str::CStr, //
};

/// Which list of an inode.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum AclKind {
    /// Who may access it (`ACL_TYPE_ACCESS`).
    Access,
    /// What new entries of a directory get (`ACL_TYPE_DEFAULT`).
    Default,
}

impl AclKind {
    /// Both.
    pub const ALL: [Self; 2] = [Self::Access, Self::Default];

    /// The name of the extended attribute.
    pub const fn xattr_name(self) -> &'static CStr {
        match self {
            Self::Access => c"system.posix_acl_access",
            Self::Default => c"system.posix_acl_default",
        }
    }

    /// The list that the extended attribute `name` stands for.
    pub fn from_xattr_name(name: &CStr) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.xattr_name() == name)
    }
}

/// A reference on an access control list (`struct posix_acl`), which may be shared and is not
/// changed.
///
/// # Invariants
///
/// `0` is valid, and this object owns a reference on it.
pub struct PosixAcl(NonNull<bindings::posix_acl>);

// SAFETY: The reference count is atomic, and the list does not change.
unsafe impl Send for PosixAcl {}
// SAFETY: As above.
unsafe impl Sync for PosixAcl {}

impl PosixAcl {
    /// Takes over a reference from C.
    ///
    /// # Safety
    ///
    /// `acl` must be null, or valid and a reference on it owned by the caller.
    pub(crate) unsafe fn from_raw_owned(acl: *mut bindings::posix_acl) -> Option<Self> {
        // INVARIANT: By the safety requirements.
        NonNull::new(acl).map(Self)
    }

    /// The raw pointer.
    pub(crate) fn as_raw(&self) -> *mut bindings::posix_acl {
        self.0.as_ptr()
    }

    /// The raw pointer, with the reference.
    pub(crate) fn into_raw(self) -> *mut bindings::posix_acl {
        ManuallyDrop::new(self).as_raw()
    }

    /// A copy that nobody else has (`posix_acl_clone()`).
    pub fn try_clone(&self) -> Result<Self> {
        // SAFETY: Valid by the type invariant.
        let copy = unsafe { bindings::posix_acl_clone(self.as_raw(), bindings::GFP_KERNEL) };
        // SAFETY: Null, or a new list.
        unsafe { Self::from_raw_owned(copy) }.ok_or(ENOMEM)
    }
}

impl Drop for PosixAcl {
    fn drop(&mut self) {
        // SAFETY: By the type invariant the reference is ours.
        unsafe { bindings::rvfs_posix_acl_release(self.as_raw()) };
    }
}

impl LayerPath<'_> {
    /// Reads an access control list of a layer's object, for the mounter (`vfs_get_acl()`), with
    /// its ids seen through the layer's mount.
    ///
    /// Returns `ENODATA` where there is none and `EOPNOTSUPP` where there can be none.
    pub fn get_acl(&self, _as_mounter: &AsMounter, kind: AclKind) -> Result<PosixAcl> {
        let inode = self.dentry.inode().ok_or(ENOENT)?;
        // SAFETY: Mount and dentry are valid, the latter positive, and the name NUL-terminated.
        let acl = from_err_ptr(unsafe {
            bindings::vfs_get_acl(
                self.mount.idmap().as_raw(),
                self.dentry.as_raw(),
                kind.xattr_name().as_char_ptr(),
            )
        })?;
        // SAFETY: `vfs_get_acl()` returns a new reference.
        let acl = unsafe { PosixAcl::from_raw_owned(acl) }.ok_or(ENODATA)?;
        if !self.mount.is_idmapped() {
            return Ok(acl);
        }
        // The file system caches the list, so only a copy may be changed.
        let mapped = acl.try_clone()?;
        // SAFETY: All are valid, and nobody else has the copy.
        unsafe {
            bindings::rvfs_posix_acl_map(
                mapped.as_raw(),
                inode.as_raw(),
                self.mount.idmap().as_raw(),
            )
        };
        Ok(mapped)
    }
}

impl WriteGuard<'_> {
    /// Sets an access control list of a layer's object, whose inode is not locked
    /// (`vfs_set_acl()`). Ids in it are as this mount shows them.
    pub fn set_acl(
        &self,
        _as_mounter: &AsMounter,
        dentry: &Dentry<Layer>,
        kind: AclKind,
        acl: &PosixAcl,
    ) -> Result {
        self.check(dentry)?;
        dentry.inode().ok_or(ENOENT)?;
        // The function maps the ids in place.
        let acl = acl.try_clone()?;
        // SAFETY: The dentry is valid and positive, the list ours alone.
        to_result(unsafe {
            bindings::vfs_set_acl(
                self.mount().idmap().as_raw(),
                dentry.as_raw(),
                kind.xattr_name().as_char_ptr(),
                acl.as_raw(),
            )
        })
    }

    /// Removes an access control list of a layer's object, whose inode is not locked
    /// (`vfs_remove_acl()`).
    pub fn remove_acl(
        &self,
        _as_mounter: &AsMounter,
        dentry: &Dentry<Layer>,
        kind: AclKind,
    ) -> Result {
        self.check(dentry)?;
        dentry.inode().ok_or(ENOENT)?;
        // SAFETY: The dentry is valid and positive.
        to_result(unsafe {
            bindings::vfs_remove_acl(
                self.mount().idmap().as_raw(),
                dentry.as_raw(),
                kind.xattr_name().as_char_ptr(),
            )
        })
    }
}
