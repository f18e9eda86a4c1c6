// SPDX-License-Identifier: GPL-2.0

//! Inodes as RCU walk sees them: not referenced, and perhaps already destroyed.

use super::{
    Allocation, //
};
use crate::{
    bindings,
    cred::AsMounter,
    layers::{
        Layers,
        RcuTop, //
    },
    mount::{
        Idmap,
        Mount, //
    },
    super_block::SuperBlock,
    FileSystem,
    Of, //
};
use core::{
    marker::PhantomData,
    ptr::NonNull, //
};
use kernel::{
    error::to_result,
    prelude::*, //
};

/// An inode of `F` in RCU walk.
///
/// It gives out nothing that could be referenced, and not the file system's part of the inode,
/// which may be gone.
///
/// # Invariants
///
/// `inode` points to an `Allocation` of `F` that is not freed before the end of `'a`, which is
/// within an RCU read-side section or the time of a reference.
pub struct RcuInode<'a, F: FileSystem> {
    inode: NonNull<Allocation<F>>,
    _life: PhantomData<&'a ()>,
    _of: Of<F>,
}

impl<'a, F: FileSystem> RcuInode<'a, F> {
    /// Makes one from a raw pointer.
    ///
    /// # Safety
    ///
    /// The type invariant must hold.
    #[inline]
    pub(crate) unsafe fn from_raw(inode: *mut bindings::inode) -> Self {
        // INVARIANT: By the safety requirements.
        Self {
            // SAFETY: Valid, hence not null.
            inode: unsafe { NonNull::new_unchecked(inode.cast()) },
            _life: PhantomData,
            _of: PhantomData,
        }
    }

    #[inline]
    fn raw(&self) -> *mut bindings::inode {
        self.inode.as_ptr().cast()
    }

    /// What the mounted instance knows.
    #[inline]
    pub fn super_data(&self) -> &'a F::Super {
        // SAFETY: The inode is not freed by the type invariant. Neither is its super block, nor the
        // data of it: `->put_super` waits for a grace period, after the last reference on a mount.
        unsafe { SuperBlock::<F>::from_raw((*self.raw()).i_sb) }.data()
    }

    /// Checks the permissions of this inode for the caller, without blocking. `ECHILD` where that
    /// cannot be.
    #[inline]
    pub fn generic_permission(&self, idmap: Idmap<'_>, mask: i32) -> Result {
        // Without the flag it would be asked for its access control list as one that is in use.
        let mask = mask | bindings::rvfs_const_RVFS_MAY_NOT_BLOCK as i32;
        // SAFETY: `generic_permission()` may be called in RCU walk for such an inode.
        to_result(unsafe { bindings::generic_permission(idmap.as_raw(), self.raw(), mask) })
    }

    /// The dentries of all layers, upper first.
    pub(crate) fn layer_dentries(&self) -> impl Iterator<Item = *mut bindings::dentry> + 'a {
        // SAFETY: Not freed by the type invariant, so the layers may be looked at until then.
        unsafe { &(*self.inode.as_ptr()).layers }.rcu_dentries()
    }

    /// Whether the object that shows is in a lower layer, and was removed there.
    #[inline]
    pub(crate) fn is_lower_removed(&self) -> bool {
        // SAFETY: As in `layer_dentries`.
        let top = unsafe { &(*self.inode.as_ptr()).layers }.rcu_top();
        let Some(RcuTop { dentry, .. }) = top.filter(|top| top.layer != 0) else {
            return false;
        };
        // SAFETY: As in `real`; a racy read of a pointer that is only compared, as `d_unhashed()`.
        let pprev = unsafe { (&raw const (*dentry).d_hash.pprev).read_volatile() };
        // What was found by a file handle is not hashed either, as long as it has no name.
        // SAFETY: As above, of an integer.
        let flags = || unsafe { (&raw const (*dentry).d_flags).read_volatile() };
        pprev.is_null() && flags() & bindings::dentry_flags_DCACHE_DISCONNECTED == 0
    }

    /// The inode that this one stands for, with whether it is the upper one.
    ///
    /// Returns `None` in the middle of its end, for which the walk has to be tried again with
    /// references (`ECHILD`).
    #[inline]
    pub fn real(&self) -> Option<RcuReal<'a>> {
        // SAFETY: As in `layer_dentries`.
        let RcuTop { dentry, layer } = unsafe { &(*self.inode.as_ptr()).layers }.rcu_top()?;
        // SAFETY: The dentry is freed only a grace period after the inode put it.
        let inode = unsafe { (&raw const (*dentry).d_inode).read_volatile() };
        Some(RcuReal {
            inode: NonNull::new(inode)?,
            layer,
            _life: PhantomData,
        })
    }
}

/// An inode of a layer in RCU walk.
///
/// # Invariants
///
/// `inode` is not freed before the end of `'a`.
pub struct RcuReal<'a> {
    inode: NonNull<bindings::inode>,
    layer: usize,
    _life: PhantomData<&'a ()>,
}

impl RcuReal<'_> {
    /// The index of the layer; 0 is the upper one.
    #[inline]
    pub fn layer(&self) -> usize {
        self.layer
    }

    #[inline]
    pub(crate) fn as_raw(&self) -> *mut bindings::inode {
        self.inode.as_ptr()
    }

    /// Whether ACLs are in use (`IS_POSIXACL()`).
    #[inline]
    pub fn has_posix_acl(&self) -> bool {
        // SAFETY: Not freed by the type invariant, and it pins its super block until then.
        unsafe { bindings::rvfs_is_posixacl(self.as_raw()) }
    }

    /// Whether it is a device, a fifo or a socket.
    #[inline]
    pub fn is_special(&self) -> bool {
        // SAFETY: Not freed by the type invariant; a racy read of an integer, as in C.
        let mode = unsafe { (&raw const (*self.inode.as_ptr()).i_mode).read_volatile() };
        matches!(
            u32::from(mode) & bindings::S_IFMT,
            bindings::S_IFCHR | bindings::S_IFBLK | bindings::S_IFIFO | bindings::S_IFSOCK
        )
    }

    /// Checks the mounter's permissions (`inode_permission()`), without blocking. `ECHILD` where that
    /// cannot be.
    #[inline]
    pub fn permission(&self, _as_mounter: &AsMounter, mount: &Mount, mask: i32) -> Result {
        let mask = mask | bindings::rvfs_const_RVFS_MAY_NOT_BLOCK as i32;
        // SAFETY: `inode_permission()` may be called in RCU walk for such an inode.
        to_result(unsafe {
            bindings::inode_permission(mount.idmap().as_raw(), self.inode.as_ptr(), mask)
        })
    }
}
