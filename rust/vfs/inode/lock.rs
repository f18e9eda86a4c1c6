// SPDX-License-Identifier: GPL-2.0

//! The locks of an inode.

use super::Inode;
use crate::{
    bindings,
    FileSystem, //
};
use kernel::types::NotThreadSafe;

/// `i_rwsem` held for writing.
///
/// # Invariants
///
/// `inode_lock()` of the inode is held by this task.
pub struct InodeLock<'a, F> {
    pub(super) inode: &'a Inode<F>,
    pub(super) _not_thread_safe: NotThreadSafe,
}

impl<'a, F> InodeLock<'a, F> {
    pub(super) fn new(inode: &'a Inode<F>) -> Self {
        // SAFETY: Valid by the type invariant of the inode.
        unsafe { bindings::rvfs_inode_lock(inode.as_raw()) };
        // INVARIANT: Just locked.
        Self {
            inode,
            _not_thread_safe: NotThreadSafe,
        }
    }

    /// The locked inode.
    pub fn inode(&self) -> &'a Inode<F> {
        self.inode
    }
}

impl<F> Drop for InodeLock<'_, F> {
    fn drop(&mut self) {
        // SAFETY: Held by the type invariant.
        unsafe { bindings::rvfs_inode_unlock(self.inode.as_raw()) };
    }
}

/// The inode's own lock, see [`Inode::lock_interruptible`].
///
/// # Invariants
///
/// The lock is held by this task.
pub struct OwnLock<'a, F: FileSystem> {
    pub(super) inode: &'a Inode<F>,
    pub(super) _not_thread_safe: NotThreadSafe,
}

impl<'a, F: FileSystem> OwnLock<'a, F> {
    /// The inode whose lock it is.
    pub fn inode(&self) -> &'a Inode<F> {
        self.inode
    }
}

impl<F: FileSystem> Drop for OwnLock<'_, F> {
    fn drop(&mut self) {
        // SAFETY: Held by the type invariant.
        unsafe { bindings::mutex_unlock(self.inode.own_lock()) };
    }
}
