// SPDX-License-Identifier: GPL-2.0

//! What an inode holds of the file systems below.
//!
//! A file system chooses one of two kinds as [`FileSystem::Layers`]: [`OneLayer`] if each of its inodes
//! stands for one object below, [`LayerStack`](crate::stack::LayerStack) if an object may be in an
//! upper layer and in several lower ones.
//!
//! Whatever the kind, dentries are put in two steps, because RCU walk looks at them without a
//! reference on the inode: `->destroy_inode` puts the references, and what holds the pointers is
//! freed after a grace period. The dentries themselves are freed by RCU, too.
//!
//! A dentry does not keep its file system mounted. The mounts in the super block do
//! ([`FileSystem::mounts`]), and are there until all inodes are gone; so an inode is given what is of
//! one of their file systems only.

use crate::{
    mount::PrivateMount,
    revalidate::revalidate_layers,
    trap::Traps, //
};
use core::ptr::NonNull;
use kernel::prelude::*;
use vfs::{
    bindings,
    dentry::Dentry,
    inode::{
        Inode,
        NewInode, //
    },
    layers::Layers,
    mount::Mount,
    FileSystem,
    Foreign,
    Ref, //
};

/// What RCU walk sees of the object that an inode stands for.
pub struct RcuTop {
    /// Its dentry, which is freed only a grace period after the inode has put it.
    pub(crate) dentry: *mut bindings::dentry,
    /// The index of its layer.
    pub(crate) layer: usize,
    /// That is the upper layer, or was it.
    pub(crate) is_own: bool,
}

/// A kind of layers with dentries.
///
/// # Safety
///
/// - The dentries that [`rcu_dentries`](Self::rcu_dentries) and [`rcu_top`](Self::rcu_top) return are
///   those that [`Layers::put`] puts; the object owns the references until then.
/// - What [`keeps`](Self::keeps) says is so as long as the mounts are there.
pub unsafe trait Stacked: Layers {
    /// Whether one of `mounts` keeps the file system of `dentry` mounted.
    #[doc(hidden)]
    fn keeps(mounts: &Self::Mounts, dentry: &Dentry<Foreign>) -> bool;

    /// The dentries of all layers.
    #[doc(hidden)]
    fn rcu_dentries(&self) -> impl Iterator<Item = *mut bindings::dentry> + '_;

    /// The object that shows the attributes.
    #[doc(hidden)]
    fn rcu_top(&self) -> Option<RcuTop>;

    /// The same, of an inode whose layers do not change but by a copy up, and else `None`.
    #[doc(hidden)]
    #[inline]
    fn fixed_rcu_top(&self) -> Option<RcuTop> {
        self.rcu_top()
    }
}

/// Refuses a dentry that `mount` does not keep.
#[inline]
pub(crate) fn check(mount: &Mount, dentry: &Dentry<Foreign>) -> Result {
    if mount.sb().is(dentry.layer_sb()) {
        Ok(())
    } else {
        Err(EXDEV)
    }
}

/// For a file system whose inodes stand for one object below each.
///
/// # Invariants
///
/// - `0` is a dentry on which this object owns a reference until
///   [`put`](Layers::put), of the file system of the super block's mount.
/// - It does not change after the inode was published.
pub struct OneLayer(Option<NonNull<Dentry<Foreign>>>);

// SAFETY: Dentries may be used and put in any task.
unsafe impl Send for OneLayer {}
// SAFETY: A shared reference only reads, and dentries are `Sync`.
unsafe impl Sync for OneLayer {}

// SAFETY: By the type invariant. The dentry is freed a grace period after it was put, as RCU walk needs
// it; only that looks at it after that.
unsafe impl Layers for OneLayer {
    const STACKING: bool = true;

    type Mounts = PrivateMount;

    type Kept = Traps;

    fn rely_on(kept: &mut Traps, mounts: &Self::Mounts) -> Result {
        kept.rely_on::<Self>(mounts)
    }

    fn depth(mount: &PrivateMount) -> u32 {
        mount.sb().stack_depth().saturating_add(1)
    }

    fn new() -> Self {
        // INVARIANT: No dentry.
        Self(None)
    }

    #[inline]
    unsafe fn revalidate<F: FileSystem<Layers = Self>>(
        dentry: *mut bindings::dentry,
        flags: u32,
        weak: bool,
    ) -> Result<c_int> {
        // SAFETY: By the safety requirements.
        unsafe { revalidate_layers::<F>(dentry, flags, weak) }
    }

    unsafe fn put(&self) {
        if let Some(dentry) = self.0 {
            // SAFETY: By the type invariant the reference is ours, and this is called once. The
            // pointer stays for RCU walk.
            drop(unsafe { Ref::from_raw(dentry) });
        }
    }

    unsafe fn free(&mut self) {}
}

// SAFETY: Both functions return the dentry of the type invariant.
unsafe impl Stacked for OneLayer {
    fn keeps(mount: &PrivateMount, dentry: &Dentry<Foreign>) -> bool {
        check(mount, dentry).is_ok()
    }

    fn rcu_dentries(&self) -> impl Iterator<Item = *mut bindings::dentry> + '_ {
        self.0.iter().map(|dentry| dentry.as_ptr().cast())
    }

    #[inline]
    fn rcu_top(&self) -> Option<RcuTop> {
        let dentry = self.0?.as_ptr().cast();
        Some(RcuTop {
            dentry,
            layer: 0,
            is_own: true,
        })
    }
}

/// An inode that stands for one object below.
pub trait OneLayerInode {
    /// The dentry of the object below that this inode stands for. An inode that a caller can see has
    /// one if it was set before the inode was published.
    ///
    /// If the object has several names below, it is the one by which the inode was found first.
    fn real(&self) -> Option<&Dentry<Foreign>>;
}

impl<F: FileSystem<Layers = OneLayer>> OneLayerInode for Inode<F> {
    #[inline]
    fn real(&self) -> Option<&Dentry<Foreign>> {
        // SAFETY: By the type invariant of `OneLayer` it is referenced as long as the inode lives.
        self.layers().0.map(|dentry| unsafe { dentry.as_ref() })
    }
}

/// An inode that will stand for one object below.
pub trait OneLayerNewInode {
    /// Sets the dentry of the object below that this inode stands for.
    ///
    /// Returns `EXDEV` for one that is not of the file system of [`FileSystem::mounts`].
    fn set_real(&mut self, real: Ref<'_, Dentry<Foreign>>) -> Result;
}

impl<F: FileSystem<Layers = OneLayer>> OneLayerNewInode for NewInode<'_, F> {
    fn set_real(&mut self, real: Ref<'_, Dentry<Foreign>>) -> Result {
        check(F::mounts(self.sb().data()), &real)?;
        // SAFETY: One member is replaced by one of the same kind.
        let layers = unsafe { self.layers_mut() };
        // INVARIANT: The reference is passed on, and nobody else sees the inode yet.
        let old = layers.0.replace(Ref::into_raw(real));
        if let Some(old) = old {
            // SAFETY: By the type invariant the reference was owned by the object replaced.
            drop(unsafe { Ref::<Dentry<Foreign>>::from_raw(old) });
        }
        Ok(())
    }
}
