// SPDX-License-Identifier: GPL-2.0

//! The locks of an inode.

use super::{
    Inode,
    Locked, //
};
use crate::{
    bindings,
    FileSystem, //
};
use core::ops::Deref;
use kernel::types::NotThreadSafe;

/// `i_rwsem` that was taken for writing here (`inode_lock()`), and is released when this is dropped.
///
/// # Invariants
///
/// The lock of the inode in `0` is held by this task, and released by this object only.
pub struct InodeLock<'a, F>(Locked<'a, F>);

impl<'a, F> InodeLock<'a, F> {
    #[inline]
    pub(super) fn new(inode: &'a Inode<F>) -> Self {
        // SAFETY: Valid by the type invariant of the inode.
        unsafe { bindings::down_write(&raw mut (*inode.as_raw()).i_rwsem) };
        // INVARIANT: Just locked.
        // SAFETY: Locked as long as anybody gets at it, which is as a shared reference.
        Self(unsafe { Locked::new(inode) })
    }
}

// There is no `DerefMut`: with it the proof could be swapped for that of another inode, which would
// then be unlocked instead.
impl<'a, F> Deref for InodeLock<'a, F> {
    type Target = Locked<'a, F>;

    #[inline]
    fn deref(&self) -> &Locked<'a, F> {
        &self.0
    }
}

impl<F> Drop for InodeLock<'_, F> {
    #[inline]
    fn drop(&mut self) {
        // SAFETY: Held by the type invariant.
        unsafe { bindings::up_write(&raw mut (*self.0.as_raw()).i_rwsem) };
    }
}

/// The mutex that each inode has beside `i_rwsem`, see [`Inode::lock_mutex`].
///
/// # Invariants
///
/// The lock is held by this task.
pub struct InodeMutex<'a, F: FileSystem> {
    pub(super) inode: &'a Inode<F>,
    pub(super) _not_thread_safe: NotThreadSafe,
}

impl<'a, F: FileSystem> InodeMutex<'a, F> {
    /// The inode whose lock it is.
    pub fn inode(&self) -> &'a Inode<F> {
        self.inode
    }
}

impl<F: FileSystem> Drop for InodeMutex<'_, F> {
    fn drop(&mut self) {
        // SAFETY: Held by the type invariant.
        unsafe { bindings::mutex_unlock(self.inode.mutex()) };
    }
}
