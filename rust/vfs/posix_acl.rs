// SPDX-License-Identifier: GPL-2.0

//! POSIX access control lists.
//!
//! C header: [`include/linux/posix_acl.h`](srctree/include/linux/posix_acl.h)

use crate::{
    bindings,
    errno::{to_result, WithReason},
    inode::Inode,
    mount::Idmap,
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
    #[inline]
    pub fn from_raw(kind: c_int) -> Result<Self> {
        match u32::try_from(kind)? {
            bindings::rvfs_const_RVFS_ACL_TYPE_ACCESS => Ok(Self::Access),
            bindings::rvfs_const_RVFS_ACL_TYPE_DEFAULT => Ok(Self::Default),
            _ => Err(EINVAL),
        }
    }

    /// As C has it (`ACL_TYPE_*`).
    pub fn as_raw(self) -> c_int {
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
    #[inline]
    pub unsafe fn from_raw_owned(acl: *mut bindings::posix_acl) -> Option<Self> {
        // INVARIANT: By the safety requirements.
        NonNull::new(acl).map(Self)
    }

    /// The raw pointer.
    #[inline]
    pub fn as_raw(&self) -> *mut bindings::posix_acl {
        self.0.as_ptr()
    }

    /// The raw pointer, with the reference.
    #[inline]
    pub fn into_raw(self) -> *mut bindings::posix_acl {
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
    /// Makes one from what C has for RCU walk.
    ///
    /// # Safety
    ///
    /// `raw` must be one of the marks, or a list that is not freed before the end of the lifetime that the
    /// caller chooses.
    #[inline]
    pub unsafe fn from_raw(raw: *mut bindings::posix_acl) -> Self {
        Self {
            raw,
            _life: PhantomData,
        }
    }

    /// There is no list.
    pub fn none() -> Self {
        Self {
            raw: ptr::null_mut(),
            _life: PhantomData,
        }
    }

    /// For the VFS, which knows the marks.
    #[inline]
    pub fn as_raw(&self) -> *mut bindings::posix_acl {
        self.raw
    }
}
