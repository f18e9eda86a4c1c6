// SPDX-License-Identifier: GPL-2.0

//! Inodes as RCU walk sees them: not referenced, and perhaps already destroyed.

use super::Allocation;
use crate::{
    bindings,
    errno::to_result,
    mount::Idmap,
    super_block::SuperBlock,
    FileSystem,
    Of, //
};
use core::{
    marker::PhantomData,
    ptr::NonNull, //
};
use kernel::prelude::*;

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
    pub unsafe fn from_raw(inode: *mut bindings::inode) -> Self {
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

    /// What it holds of the layers.
    #[doc(hidden)]
    #[inline]
    pub fn layers(&self) -> &'a F::Layers {
        // SAFETY: Not freed by the type invariant, so the layers may be looked at until then.
        unsafe { &(*self.inode.as_ptr()).layers }
    }
}
