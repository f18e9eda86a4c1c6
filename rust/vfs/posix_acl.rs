// SPDX-License-Identifier: GPL-2.0

//! POSIX access control lists.
//!
//! C header: [`include/linux/posix_acl.h`](srctree/include/linux/posix_acl.h)

use crate::{
    bindings,
    cred::AsMounter,
    dentry::Dentry,
    errno::WithReason,
    inode::{
        Inode,
        RcuReal, //
    },
    mount::{
        Idmap,
        WriteGuard, //
    },
    path::LayerPath,
    FileSystem,
    Foreign, //
};
use core::{
    marker::PhantomData,
    mem::ManuallyDrop,
    ptr::{
        self,
        NonNull, //
    },
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

    /// The kind for one of `ACL_TYPE_*`. Returns `EINVAL` for another number.
    pub(crate) fn from_raw(kind: c_int) -> Result<Self> {
        match u32::try_from(kind)? {
            bindings::rvfs_const_RVFS_ACL_TYPE_ACCESS => Ok(Self::Access),
            bindings::rvfs_const_RVFS_ACL_TYPE_DEFAULT => Ok(Self::Default),
            _ => Err(EINVAL),
        }
    }

    fn as_raw(self) -> c_int {
        // CAST: constants that fit.
        match self {
            Self::Access => bindings::rvfs_const_RVFS_ACL_TYPE_ACCESS as c_int,
            Self::Default => bindings::rvfs_const_RVFS_ACL_TYPE_DEFAULT as c_int,
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

    /// What a callback returns to C for `result`: an error, null, or a list with the reference.
    pub(crate) fn into_result(result: Result<Option<Self>>) -> *mut bindings::posix_acl {
        match result {
            Ok(acl) => acl.map_or(ptr::null_mut(), Self::into_raw),
            Err(err) => err.class().to_ptr(),
        }
    }

    /// A copy that nobody else has (`posix_acl_clone()`).
    pub fn try_clone(&self) -> Result<Self> {
        // SAFETY: Valid by the type invariant.
        let copy = unsafe { bindings::rvfs_posix_acl_clone(self.as_raw()) };
        // SAFETY: Null, or a new list.
        unsafe { Self::from_raw_owned(copy) }.ok_or(ENOMEM)
    }
}

/// The lists of a new object, see [`inherited`].
pub struct Inherited {
    /// The mode, as far as the default list of the directory lets it be.
    pub mode: u16,
    /// The list that says who may access the object.
    pub access: Option<PosixAcl>,
    /// The list that new entries of the object get, if it is a directory.
    pub default: Option<PosixAcl>,
}

/// What a new object with `mode` in `dir` gets from the default list of `dir`, or else from the
/// caller's umask (`posix_acl_create()`).
pub fn inherited<F: FileSystem>(dir: &Inode<F>, mode: u16) -> Result<Inherited> {
    let mut mode = mode;
    let (mut default, mut access) = (ptr::null_mut(), ptr::null_mut());
    // SAFETY: The directory is valid; the rest are local variables.
    to_result(unsafe {
        bindings::rvfs_posix_acl_create(dir.as_raw(), &mut mode, &mut default, &mut access)
    })?;
    Ok(Inherited {
        mode,
        // SAFETY: Null, or a new reference.
        access: unsafe { PosixAcl::from_raw_owned(access) },
        // SAFETY: As above.
        default: unsafe { PosixAcl::from_raw_owned(default) },
    })
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
            bindings::rvfs_vfs_get_acl(
                self.mount.idmap().as_raw(),
                self.dentry.as_raw(),
                kind.xattr_name().as_char_ptr(),
            )
        })?;
        // SAFETY: `vfs_get_acl()` returns a new reference.
        let acl = unsafe { PosixAcl::from_raw_owned(acl) }.ok_or(ENODATA)?;
        self.map_acl(inode, acl)
    }

    /// Reads an access control list of a layer's object for a check of permissions, which security
    /// modules are not asked for (`get_inode_acl()`). Ids are as for [`get_acl`](Self::get_acl).
    ///
    /// Returns `None` where there is none.
    pub fn get_inode_acl(
        &self,
        _as_mounter: &AsMounter,
        kind: AclKind,
    ) -> Result<Option<PosixAcl>> {
        let inode = self.dentry.inode().ok_or(ENOENT)?;
        // SAFETY: The inode is valid.
        let acl = unsafe { bindings::rvfs_get_inode_acl(inode.as_raw(), kind.as_raw()) };
        let acl = from_err_ptr(acl)?;
        // SAFETY: `get_inode_acl()` returns null or a new reference.
        let acl = unsafe { PosixAcl::from_raw_owned(acl) };
        acl.map(|acl| self.map_acl(inode, acl)).transpose()
    }

    /// Shows the ids in `acl`, a list of `inode`, through the layer's mount.
    fn map_acl(&self, inode: &Inode<Foreign>, acl: PosixAcl) -> Result<PosixAcl> {
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
        as_mounter: &AsMounter,
        dentry: &Dentry<Foreign>,
        kind: AclKind,
        acl: &PosixAcl,
    ) -> Result {
        as_mounter.check()?;
        self.check(dentry)?;
        dentry.inode().ok_or(ENOENT)?;
        // The function maps the ids in place.
        let acl = acl.try_clone()?;
        // SAFETY: The dentry is valid and positive, the list ours alone.
        to_result(unsafe {
            bindings::rvfs_vfs_set_acl(
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
        as_mounter: &AsMounter,
        dentry: &Dentry<Foreign>,
        kind: AclKind,
    ) -> Result {
        as_mounter.check()?;
        self.check(dentry)?;
        dentry.inode().ok_or(ENOENT)?;
        // SAFETY: The dentry is valid and positive.
        to_result(unsafe {
            bindings::rvfs_vfs_remove_acl(
                self.mount().idmap().as_raw(),
                dentry.as_raw(),
                kind.xattr_name().as_char_ptr(),
            )
        })
    }
}

impl Inode<Foreign> {
    /// Whether its file system can store access control lists.
    pub fn can_set_acl(&self) -> bool {
        // SAFETY: Valid by the type invariant; `i_op` is never null.
        unsafe { (*(*self.as_raw()).i_op).set_acl.is_some() }
    }
}

impl<F: FileSystem> Inode<F> {
    /// Whether the caller is in the group of the inode, or may act as if
    /// (`in_group_or_capable()`).
    pub fn in_group_or_capable(&self, idmap: Idmap<'_>) -> bool {
        // SAFETY: Both are valid by their type invariants.
        unsafe { bindings::rvfs_in_group_or_capable(idmap.as_raw(), self.as_raw()) }
    }
}

/// What RCU walk gets for a list: one without a reference, none, or a mark that says to walk with
/// references.
pub struct RcuAcl<'a> {
    raw: *mut bindings::posix_acl,
    _life: PhantomData<&'a ()>,
}

impl RcuAcl<'_> {
    /// There is no list.
    pub fn none() -> Self {
        Self {
            raw: ptr::null_mut(),
            _life: PhantomData,
        }
    }

    /// For the VFS, which knows the marks.
    pub(crate) fn as_raw(&self) -> *mut bindings::posix_acl {
        self.raw
    }
}

impl<'a> RcuReal<'a> {
    /// The cached list of an inode of a layer (`get_cached_acl_rcu()`).
    pub fn cached_acl(&self, kind: AclKind) -> RcuAcl<'a> {
        RcuAcl {
            // SAFETY: The inode is not freed by its type invariant, and neither is a list that it
            // has now: both wait for a grace period.
            raw: unsafe { bindings::rvfs_get_cached_acl_rcu(self.as_raw(), kind.as_raw()) },
            _life: PhantomData,
        }
    }
}
