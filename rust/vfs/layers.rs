// SPDX-License-Identifier: GPL-2.0

//! What an inode holds of the file systems below.
//!
//! A file system chooses one of three kinds as [`FileSystem::Layers`]:
//! [`NoLayers`] if it stacks on nothing, [`OneLayer`] if each of its inodes stands for one object
//! below, [`LayerStack`](crate::stack::LayerStack) if an object may be in an upper layer and in
//! several lower ones.
//!
//! Whatever the kind, dentries are put in two steps, because RCU walk looks at them without a
//! reference on the inode: `->destroy_inode` puts the references, and what holds the pointers is
//! freed after a grace period. The dentries themselves are freed by RCU, too.
//!
//! A dentry does not keep its file system mounted. The mounts in the super block do
//! ([`FileSystem::mounts`]), and are there until all inodes are gone; so an inode is given what is of
//! one of their file systems only.

use crate::{
    bindings,
    dentry::Dentry,
    inode::{
        Inode,
        NewInode, //
    },
    mount::{
        Mount,
        PrivateMount, //
    },
    FileSystem,
    Foreign,
    Ref, //
};
use core::{
    iter,
    ptr::NonNull, //
};
use kernel::prelude::*;

/// What RCU walk sees of the object that an inode stands for.
pub struct RcuTop {
    /// Its dentry, which is freed only a grace period after the inode has put it.
    pub(crate) dentry: *mut bindings::dentry,
    /// The index of its layer.
    pub(crate) layer: usize,
}

/// A kind of layers. The three kinds that there are can be named, but no other can be made.
///
/// # Safety
///
/// The dentries that [`rcu_dentries`](Self::rcu_dentries) and [`rcu_top`](Self::rcu_top) return are
/// those that [`put_dentries`](Self::put_dentries) puts; the object owns the references until then.
pub unsafe trait Layers: sealed::Sealed + Send + Sync + Sized + 'static {
    /// Whether inodes stand for objects of file systems below. Those then keep times, access control
    /// lists and data, and this file system's inodes do not.
    const STACKING: bool;

    /// What keeps the layers of a mounted instance mounted.
    type Mounts: 'static;

    /// Whether one of `mounts` keeps the file system of `dentry` mounted.
    #[doc(hidden)]
    fn keeps(mounts: &Self::Mounts, dentry: &Dentry<Foreign>) -> bool;

    /// How many file systems one on `mounts` stacks on.
    #[doc(hidden)]
    fn depth(mounts: &Self::Mounts) -> u32;

    /// No layers yet.
    #[doc(hidden)]
    fn new() -> Self;

    /// The dentries of all layers.
    #[doc(hidden)]
    fn rcu_dentries(&self) -> impl Iterator<Item = *mut bindings::dentry> + '_;

    /// The object that shows the attributes.
    #[doc(hidden)]
    fn rcu_top(&self) -> Option<RcuTop>;

    /// First step of the end of an inode: puts all dentries. May sleep.
    ///
    /// # Safety
    ///
    /// To be called once, from `->destroy_inode`. Afterwards only RCU walk may look at the layers,
    /// until [`free`](Self::free).
    #[doc(hidden)]
    unsafe fn put_dentries(&self);

    /// Second step: frees memory, after a grace period. Does not sleep.
    ///
    /// # Safety
    ///
    /// To be called once, from `->free_inode`, after [`put_dentries`](Self::put_dentries).
    #[doc(hidden)]
    unsafe fn free(&mut self);
}

/// Keeps [`Layers`] from being implemented elsewhere.
pub(crate) mod sealed {
    /// See the module.
    pub trait Sealed {}
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

/// For a file system that stacks on nothing.
pub struct NoLayers(());

impl sealed::Sealed for NoLayers {}

// SAFETY: There are no dentries.
unsafe impl Layers for NoLayers {
    const STACKING: bool = false;

    type Mounts = ();

    fn keeps(_mounts: &(), _dentry: &Dentry<Foreign>) -> bool {
        false
    }

    fn depth(_mounts: &()) -> u32 {
        0
    }

    fn new() -> Self {
        Self(())
    }

    fn rcu_dentries(&self) -> impl Iterator<Item = *mut bindings::dentry> + '_ {
        iter::empty()
    }

    fn rcu_top(&self) -> Option<RcuTop> {
        None
    }

    unsafe fn put_dentries(&self) {}

    unsafe fn free(&mut self) {}
}

/// For a file system whose inodes stand for one object below each.
///
/// # Invariants
///
/// - `0` is a dentry on which this object owns a reference until
///   [`put_dentries`](Layers::put_dentries), of the file system of the super block's mount.
/// - It does not change after the inode was published.
pub struct OneLayer(Option<NonNull<Dentry<Foreign>>>);

// SAFETY: Dentries may be used and put in any task.
unsafe impl Send for OneLayer {}
// SAFETY: A shared reference only reads, and dentries are `Sync`.
unsafe impl Sync for OneLayer {}

impl sealed::Sealed for OneLayer {}

// SAFETY: Both functions return the dentry of the type invariant.
unsafe impl Layers for OneLayer {
    const STACKING: bool = true;

    type Mounts = PrivateMount;

    fn keeps(mount: &PrivateMount, dentry: &Dentry<Foreign>) -> bool {
        check(mount, dentry).is_ok()
    }

    fn depth(mount: &PrivateMount) -> u32 {
        mount.sb().stack_depth().saturating_add(1)
    }

    fn new() -> Self {
        // INVARIANT: No dentry.
        Self(None)
    }

    fn rcu_dentries(&self) -> impl Iterator<Item = *mut bindings::dentry> + '_ {
        self.0.iter().map(|dentry| dentry.as_ptr().cast())
    }

    fn rcu_top(&self) -> Option<RcuTop> {
        let dentry = self.0?.as_ptr().cast();
        Some(RcuTop { dentry, layer: 0 })
    }

    unsafe fn put_dentries(&self) {
        if let Some(dentry) = self.0 {
            // SAFETY: By the type invariant the reference is ours, and this is called once. The
            // pointer stays for RCU walk.
            drop(unsafe { Ref::from_raw(dentry) });
        }
    }

    unsafe fn free(&mut self) {}
}

impl<F: FileSystem<Layers = OneLayer>> Inode<F> {
    /// The dentry of the object below that this inode stands for. An inode that a caller can see has
    /// one if it was set before the inode was published.
    ///
    /// If the object has several names below, it is the one by which the inode was found first.
    #[inline]
    pub fn real(&self) -> Option<&Dentry<Foreign>> {
        // SAFETY: By the type invariant of `OneLayer` it is referenced as long as the inode lives.
        self.layers().0.map(|dentry| unsafe { dentry.as_ref() })
    }
}

impl<F: FileSystem<Layers = OneLayer>> NewInode<'_, F> {
    /// Sets the dentry of the object below that this inode stands for.
    ///
    /// Returns `EXDEV` for one that is not of the file system of [`FileSystem::mounts`].
    pub fn set_real(&mut self, real: Ref<'_, Dentry<Foreign>>) -> Result {
        check(F::mounts(self.sb().data()), &real)?;
        // INVARIANT: The reference is passed on, and nobody else sees the inode yet.
        let old = self.layers_mut().0.replace(Ref::into_raw(real));
        if let Some(old) = old {
            // SAFETY: By the type invariant the reference was owned by the object replaced.
            drop(unsafe { Ref::<Dentry<Foreign>>::from_raw(old) });
        }
        Ok(())
    }
}
