// SPDX-License-Identifier: GPL-2.0

//! Changing attributes of inodes.
//!
//! C header: [`include/linux/fs.h`](srctree/include/linux/fs.h)

use crate::{
    bindings,
    dentry::LockedDentry,
    errno::to_result,
    inode::Inode,
    mount::Idmap,
    stat::Kstat,
    FileSystem,
    Foreign, //
};
use core::{
    marker::PhantomData,
    ptr, //
};
use kernel::prelude::*;

/// Attributes to be set (`struct iattr`).
///
/// Owners are as the mount shows them through which they are set.
///
/// # Invariants
///
/// `ATTR_FILE` is not set, so that the file in it is not used.
#[derive(Clone, Copy)]
#[repr(transparent)]
pub struct Iattr(bindings::iattr);

impl Iattr {
    fn new(valid: u32) -> Self {
        // INVARIANT: No caller in this file passes ATTR_FILE.
        Self(bindings::iattr {
            ia_valid: valid,
            ..Default::default()
        })
    }

    /// As C has it, to be completed on the way to the file system: the file in it is not used.
    #[doc(hidden)]
    #[inline]
    pub fn as_raw_mut(&mut self) -> *mut bindings::iattr {
        &raw mut self.0
    }

    /// Whether the size is set.
    #[inline]
    pub fn sets_size(&self) -> bool {
        self.0.ia_valid & bindings::rvfs_const_RVFS_ATTR_SIZE != 0
    }

    /// Completes it for an inode with mode `mode`. File systems take over all of the mode, so the type in it
    /// has to be that of the inode. Where set-ID bits are to be removed the VFS finds out the mode by
    /// itself, and does not take one, of an earlier use either (`notify_change()` has a `BUG()` there).
    #[inline]
    pub fn complete_for(&mut self, mode: u16) {
        // CAST: a mask.
        let kind = bindings::S_IFMT as u16;
        self.0.ia_mode = (self.0.ia_mode & !kind) | (mode & kind);
        let kill =
            bindings::rvfs_const_RVFS_ATTR_KILL_SUID | bindings::rvfs_const_RVFS_ATTR_KILL_SGID;
        if self.0.ia_valid & kill != 0 {
            self.0.ia_valid &= !bindings::rvfs_const_RVFS_ATTR_MODE;
        }
    }

    /// The permissions of `mode`.
    pub fn mode(mode: u16) -> Self {
        let mut attr = Self::new(bindings::rvfs_const_RVFS_ATTR_MODE);
        attr.0.ia_mode = mode;
        attr
    }

    /// The owner and the group.
    pub fn owner(stat: &Kstat) -> Self {
        let stat = stat.as_raw();
        let mut attr =
            Self::new(bindings::rvfs_const_RVFS_ATTR_UID | bindings::rvfs_const_RVFS_ATTR_GID);
        attr.0.__bindgen_anon_1.ia_uid = stat.uid;
        attr.0.__bindgen_anon_2.ia_gid = stat.gid;
        attr
    }

    /// The mode without the bit `S_ISGID`.
    pub fn kill_sgid() -> Self {
        Self::new(bindings::rvfs_const_RVFS_ATTR_KILL_SGID)
    }

    /// The size in bytes.
    pub fn size(size: i64) -> Self {
        let mut attr = Self::new(bindings::rvfs_const_RVFS_ATTR_SIZE);
        attr.0.ia_size = size;
        attr
    }

    /// The times of last access and of last modification.
    pub fn times(stat: &Kstat) -> Self {
        let stat = stat.as_raw();
        let mut attr = Self::new(
            bindings::rvfs_const_RVFS_ATTR_ATIME
                | bindings::rvfs_const_RVFS_ATTR_MTIME
                | bindings::rvfs_const_RVFS_ATTR_ATIME_SET
                | bindings::rvfs_const_RVFS_ATTR_MTIME_SET
                | bindings::rvfs_const_RVFS_ATTR_CTIME,
        );
        attr.0.ia_atime = stat.atime;
        attr.0.ia_mtime = stat.mtime;
        attr
    }
}

/// A change of attributes that a caller asks for, as `->setattr` gets it.
///
/// # Invariants
///
/// `raw` is valid for `'a` and not used otherwise.
pub struct Setattr<'a> {
    raw: *mut bindings::iattr,
    _life: PhantomData<&'a mut ()>,
}

impl<'a> Setattr<'a> {
    /// Makes one from a raw pointer.
    ///
    /// # Safety
    ///
    /// The type invariant must hold.
    #[inline]
    pub unsafe fn from_raw(raw: *mut bindings::iattr) -> Self {
        // INVARIANT: By the safety requirements.
        Self {
            raw,
            _life: PhantomData,
        }
    }

    /// Checks whether the caller may do this (`setattr_prepare()`), and takes away what it may not
    /// keep, like the set-group-ID bit.
    pub fn prepare<F: FileSystem>(
        &mut self,
        idmap: Idmap<'_>,
        dentry: &LockedDentry<'_, F>,
    ) -> Result {
        // SAFETY: All are valid, the dentry is positive, and its inode is locked.
        to_result(unsafe { bindings::setattr_prepare(idmap.as_raw(), dentry.as_raw(), self.raw) })
    }

    /// Whether the size is set.
    pub fn sets_size(&self) -> bool {
        // SAFETY: Valid by the type invariant.
        let valid = unsafe { (*self.raw).ia_valid };
        valid & bindings::rvfs_const_RVFS_ATTR_SIZE != 0
    }

    /// Makes the change in the inode itself, and truncates or extends its page cache if the size is
    /// set (`truncate_setsize()`, `setattr_copy()`).
    ///
    /// `EINVAL` for a size that it cannot have.
    pub fn apply<F: FileSystem>(self, idmap: Idmap<'_>, dentry: &LockedDentry<'_, F>) -> Result {
        let inode = dentry.inode();
        if self.sets_size() {
            // SAFETY: Valid by the type invariant.
            let size = unsafe { (*self.raw).ia_size };
            if size < 0 || !inode.is_reg() {
                return Err(EINVAL);
            }
            // SAFETY: A regular file, which is locked, and a size that it can have.
            unsafe { bindings::truncate_setsize(inode.as_raw(), size) };
        }
        // SAFETY: All are valid by their type invariants.
        unsafe { bindings::setattr_copy(idmap.as_raw(), inode.as_raw(), self.raw) };
        Ok(())
    }

    /// What to set on the object of a layer that stands behind `inode`, in its place.
    ///
    /// Owners are converted from those that the mount with `idmap` shows. The layer gets no file, and does
    /// not learn that it is truncated by open(2), which it has not seen.
    pub fn for_layer<F: FileSystem>(self, idmap: Idmap<'_>, inode: &Inode<F>) -> &'a mut Iattr {
        // SAFETY: Valid by the type invariant, and not used otherwise for `'a`.
        let attr = unsafe { &mut *self.raw };
        let owner = bindings::rvfs_const_RVFS_ATTR_UID | bindings::rvfs_const_RVFS_ATTR_GID;
        if attr.ia_valid & owner != 0 {
            // SAFETY: All are valid.
            unsafe { bindings::rvfs_iattr_unmap_owner(attr, inode.as_raw(), idmap.as_raw()) };
        }
        attr.ia_valid &=
            !(bindings::rvfs_const_RVFS_ATTR_FILE | bindings::rvfs_const_RVFS_ATTR_OPEN);
        attr.ia_file = ptr::null_mut();
        // INVARIANT: ATTR_FILE was cleared.
        // SAFETY: The type is transparent, and the borrow goes on.
        unsafe { &mut *ptr::from_mut(attr).cast() }
    }
}

/// The right to write to a file of a layer, which then cannot be executed (`get_write_access()`).
///
/// # Invariants
///
/// `i_writecount` of `0` is raised by one for this object.
pub struct FileWriteAccess<'a>(&'a Inode<Foreign>);

impl Inode<Foreign> {
    /// Gets the right to write to this file. Returns `ETXTBSY` while it is executed.
    #[inline]
    pub fn get_write_access(&self) -> Result<FileWriteAccess<'_>> {
        // SAFETY: Valid by the type invariant.
        to_result(unsafe { bindings::rvfs_get_write_access(self.as_raw()) })?;
        // INVARIANT: Raised just now.
        Ok(FileWriteAccess(self))
    }
}

impl Drop for FileWriteAccess<'_> {
    #[inline]
    fn drop(&mut self) {
        // SAFETY: By the type invariant.
        unsafe { bindings::rvfs_put_write_access(self.0.as_raw()) };
    }
}
