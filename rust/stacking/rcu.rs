// SPDX-License-Identifier: GPL-2.0

//! Layers as RCU walk sees them: not referenced, and perhaps already put.

use crate::{
    cred::AsMounter,
    layers::{
        RcuTop,
        Stacked, //
    }, //
};
use core::{
    marker::PhantomData,
    ptr::NonNull, //
};
use kernel::prelude::*;
use vfs::{
    bindings,
    errno::to_result,
    inode::RcuInode,
    mount::Mount,
    FileSystem, //
};

/// The layers of an inode in RCU walk.
pub trait RcuLayers<'a> {
    /// The inode that this one stands for, with whether it is the upper one.
    ///
    /// Returns `None` in the middle of its end, for which the walk has to be tried again with
    /// references (`ECHILD`).
    fn real(&self) -> Option<RcuReal<'a>>;
}

impl<'a, F: FileSystem> RcuLayers<'a> for RcuInode<'a, F>
where
    F::Layers: Stacked,
{
    // Every step of a walk asks.
    #[inline(always)]
    fn real(&self) -> Option<RcuReal<'a>> {
        let layers = self.layers();
        // The second one tells the same of all others, which are rare.
        let top = layers.fixed_rcu_top().or_else(|| layers.rcu_top());
        let RcuTop { dentry, layer, .. } = top?;
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
    /// The index of the layer; see [`LayerMounts::upper_index`](crate::mount::LayerMounts::upper_index).
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
        let sb = unsafe { (*self.as_raw()).i_sb };
        // SAFETY: An inode pins its super block; a racy read of an integer, as in C.
        let flags = unsafe { (&raw const (*sb).s_flags).read_volatile() };
        // CAST: a wider type.
        flags & bindings::rvfs_const_RVFS_SB_POSIXACL as c_ulong != 0
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
