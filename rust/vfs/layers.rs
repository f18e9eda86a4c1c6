// SPDX-License-Identifier: GPL-2.0

//! What an inode holds of the file systems below.
//!
//! A file system chooses a kind as [`FileSystem::Layers`]: [`NoLayers`] if it stacks on nothing. The
//! crate `stacking` has the others.
//!
//! Whatever the kind, what an inode holds ends in two steps, because RCU walk looks at it without a
//! reference on the inode: `->destroy_inode` puts references, and what holds the pointers is freed
//! after a grace period.

use crate::{
    bindings,
    FileSystem, //
};
use kernel::prelude::*;

/// A kind of layers.
///
/// It lies right behind `struct inode`, where tools look for the first member.
///
/// # Safety
///
/// - What safe code can do with a shared reference to it must be right as long as its memory is there:
///   from `->alloc_inode` to `->free_inode`, in RCU walk for one, and after
///   [`put`](Self::put).
/// - As soon as [`rely_on`](Self::rely_on) has returned without an error, all that [`Kept`](Self::Kept)
///   refers to must be kept by the mounts alone.
pub unsafe trait Layers: Send + Sync + Sized + 'static {
    /// Whether inodes stand for objects of file systems below. Those then keep times, access control
    /// lists and data, and this file system's inodes do not.
    const STACKING: bool;

    /// What keeps the layers of a mounted instance mounted.
    type Mounts: 'static;

    /// What a super block holds of its layers, and drops before its data, where the mounts are.
    #[doc(hidden)]
    type Kept: Default + Send + Sync;

    /// Refuses the end of filling a super block where `mounts` do not keep what `kept` refers to, and
    /// lets go of whatever else keeps it.
    #[doc(hidden)]
    fn rely_on(kept: &mut Self::Kept, mounts: &Self::Mounts) -> Result;

    /// Ends the mounts, and waits for a grace period of RCU before they go. Returns whether it did, which
    /// it may leave to the end of `mounts`.
    ///
    /// # Safety
    ///
    /// Nobody but RCU walk uses the mounts, now or later.
    #[doc(hidden)]
    unsafe fn end(_mounts: &Self::Mounts) -> bool {
        false
    }

    /// Whether each dentry asks for a revalidation, because the layers may become others.
    #[doc(hidden)]
    #[inline]
    fn always_asks(_mounts: &Self::Mounts) -> bool {
        false
    }

    /// Whether a dentry with `word` in `d_fsdata` was found in the layers that there are now. Does not sleep.
    #[doc(hidden)]
    #[inline]
    fn is_current(_mounts: &Self::Mounts, _word: usize) -> bool {
        true
    }

    /// Takes a dentry that was found in other layers than there are now for what it was, where that can be told without
    /// asking these. Returns whether that is so. Does not sleep.
    ///
    /// # Safety
    ///
    /// `dentry` must be a dentry of `F` that is in use, or, in RCU walk, one as the VFS passes it to
    /// `->d_revalidate`.
    #[doc(hidden)]
    unsafe fn confirm<F: FileSystem<Layers = Self>>(_dentry: *mut bindings::dentry) -> bool {
        false
    }

    /// Whether a dentry with `word` in `d_fsdata` has nothing else to ask.
    #[doc(hidden)]
    #[inline]
    fn is_only_current(_word: usize) -> bool {
        true
    }

    /// How many file systems one on `mounts` stacks on.
    #[doc(hidden)]
    fn depth(mounts: &Self::Mounts) -> u32;

    /// No layers yet.
    #[doc(hidden)]
    fn new() -> Self;

    /// Revalidates a dentry of `F` by its layers (`->d_revalidate`, and with `weak`
    /// `->d_weak_revalidate`).
    ///
    /// # Safety
    ///
    /// `dentry` must be a dentry of `F` as the VFS passes it with `flags`: without a reference in RCU
    /// walk.
    #[doc(hidden)]
    unsafe fn revalidate<F: FileSystem<Layers = Self>>(
        dentry: *mut bindings::dentry,
        flags: u32,
        weak: bool,
    ) -> Result<c_int>;

    /// First step of the end of an inode: puts all references. May sleep.
    ///
    /// # Safety
    ///
    /// To be called once, from `->destroy_inode`. Afterwards only RCU walk may look at the layers,
    /// until [`free`](Self::free).
    #[doc(hidden)]
    unsafe fn put(&self);

    /// Second step: frees memory, after a grace period. Does not sleep.
    ///
    /// # Safety
    ///
    /// To be called once, from `->free_inode`, after [`put`](Self::put).
    #[doc(hidden)]
    unsafe fn free(&mut self);
}

/// For a file system that stacks on nothing.
pub struct NoLayers(());

// SAFETY: There is nothing to refer to.
unsafe impl Layers for NoLayers {
    const STACKING: bool = false;

    type Mounts = ();

    type Kept = ();

    fn rely_on(_kept: &mut (), _mounts: &()) -> Result {
        Ok(())
    }

    fn depth(_mounts: &()) -> u32 {
        0
    }

    fn new() -> Self {
        Self(())
    }

    unsafe fn revalidate<F: FileSystem<Layers = Self>>(
        _dentry: *mut bindings::dentry,
        _flags: u32,
        _weak: bool,
    ) -> Result<c_int> {
        Ok(1)
    }

    unsafe fn put(&self) {}

    unsafe fn free(&mut self) {}
}
