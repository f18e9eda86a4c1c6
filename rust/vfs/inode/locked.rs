// SPDX-License-Identifier: GPL-2.0

//! The lock of an inode as a proof, and data that it protects.

use super::{
    Inode,
    InodeLock, //
};
use crate::{
    bindings,
    FileSystem, //
};
use core::{
    cell::UnsafeCell,
    marker::PhantomData,
    ops::Deref, //
};
use kernel::{
    prelude::*,
    types::NotThreadSafe, //
};

/// An inode whose `i_rwsem` this task holds for writing: the VFS took it for an operation, or
/// [`InodeLock`] did.
///
/// A shared reference shows to a function that the lock is held, as it has to be to change the inode.
/// Data that the lock protects ([`LockedByInode`]) needs a mutable one.
///
/// # Invariants
///
/// - The lock is held for `'a` by this task.
/// - Of one inode only one is borrowed mutably at a time. There may be a second one if a function is
///   shown the lock and the VFS calls an operation of this inode under it: as `file_remove_privs()`
///   calls `->setattr`. Both are shared references then.
pub struct Locked<'a, F> {
    inode: &'a Inode<F>,
    _exclusive: PhantomData<&'a mut ()>,
    _not_thread_safe: NotThreadSafe,
}

impl<'a, F> Locked<'a, F> {
    /// Stands for a lock that the VFS took and releases.
    ///
    /// # Safety
    ///
    /// The type invariant must hold.
    #[inline]
    pub(crate) unsafe fn new(inode: &'a Inode<F>) -> Self {
        // INVARIANT: By the safety requirements.
        Self {
            inode,
            _exclusive: PhantomData,
            _not_thread_safe: NotThreadSafe,
        }
    }

    /// From a raw pointer.
    ///
    /// # Safety
    ///
    /// As for [`Inode::from_raw`], and the type invariant must hold.
    #[inline]
    pub unsafe fn from_raw(ptr: *mut bindings::inode) -> Self {
        // SAFETY: By the safety requirements.
        unsafe { Self::new(Inode::from_raw(ptr)) }
    }

    /// As [`from_raw`](Self::from_raw), the inode of a dentry.
    ///
    /// # Safety
    ///
    /// `dentry` must be valid for `'a`, of a file system that `F` names, and positive; the type
    /// invariant must hold.
    #[inline]
    pub(crate) unsafe fn of_dentry(dentry: *mut bindings::dentry) -> Self {
        // SAFETY: By the safety requirements; constant, since the dentry is positive.
        unsafe { Self::from_raw((*dentry).d_inode) }
    }

    /// The locked inode.
    #[inline]
    pub fn inode(&self) -> &'a Inode<F> {
        self.inode
    }
}

/// An inode whose `i_rwsem` this task holds for reading at least, so that nobody holds it for writing.
///
/// A shared reference shows to a function that the lock is held.
///
/// # Invariants
///
/// The lock is held for `'a` by this task.
pub struct LockedShared<'a, F> {
    inode: &'a Inode<F>,
    _not_thread_safe: NotThreadSafe,
}

impl<'a, F> LockedShared<'a, F> {
    /// Stands for a lock that the VFS took and releases.
    ///
    /// # Safety
    ///
    /// The type invariant must hold.
    #[inline]
    pub(crate) unsafe fn new(inode: &'a Inode<F>) -> Self {
        // INVARIANT: By the safety requirements.
        Self {
            inode,
            _not_thread_safe: NotThreadSafe,
        }
    }

    /// The locked inode.
    #[inline]
    pub fn inode(&self) -> &'a Inode<F> {
        self.inode
    }
}

impl<F> Locked<'_, F> {
    /// The same where the lock held for reading is enough.
    #[inline]
    pub fn as_shared(&self) -> LockedShared<'_, F> {
        // INVARIANT: Held for writing as long as `self` is borrowed.
        LockedShared {
            inode: self.inode,
            _not_thread_safe: NotThreadSafe,
        }
    }
}

impl<F> Deref for Locked<'_, F> {
    type Target = Inode<F>;

    #[inline]
    fn deref(&self) -> &Inode<F> {
        self.inode
    }
}

impl<F: FileSystem> Locked<'_, F> {
    /// Sets the times of modification and change to now: of a directory whose entries have changed,
    /// for one.
    pub fn touch(&self) {
        // SAFETY: Valid by the type invariant of the inode.
        unsafe { bindings::rvfs_inode_touch(self.as_raw()) };
    }

    /// Sets the number of links (`set_nlink()`).
    pub fn set_nlink(&self, nlink: u32) {
        // SAFETY: Valid by the type invariant of the inode, and locked.
        unsafe { bindings::set_nlink(self.as_raw(), nlink) };
    }

    /// One more link (`inc_nlink()`).
    pub fn inc_nlink(&self) {
        // SAFETY: Valid by the type invariant of the inode, and locked.
        unsafe { bindings::inc_nlink(self.as_raw()) };
    }

    /// One link less (`drop_nlink()`), unless there is none.
    pub fn drop_nlink(&self) {
        if self.nlink() > 0 {
            // SAFETY: Valid by the type invariant of the inode, and locked; the count is not zero.
            unsafe { bindings::drop_nlink(self.as_raw()) };
        }
    }

    /// No link any more (`clear_nlink()`).
    pub fn clear_nlink(&self) {
        // SAFETY: Valid by the type invariant of the inode, and locked.
        unsafe { bindings::clear_nlink(self.as_raw()) };
    }
}

impl<F> InodeLock<'_, F> {
    /// The proof for what the lock protects, which borrows the lock. Where a shared one will do, the
    /// lock itself is one.
    #[inline]
    pub fn proof(&mut self) -> Locked<'_, F> {
        // SAFETY: The lock is held as long as `self` lives, and `self` is borrowed exclusively.
        unsafe { Locked::new(self.inode()) }
    }
}

/// Data that is only used with `i_rwsem` of an inode held for writing.
///
/// That is the lock under which the VFS reads a directory and moves its position, so that what is
/// known of an open directory needs no lock of its own.
pub struct LockedByInode<F, T> {
    /// Compared only.
    inode: *const Inode<F>,
    data: UnsafeCell<T>,
}

// SAFETY: The pointer is only compared, and the data may be sent.
unsafe impl<F, T: Send> Send for LockedByInode<F, T> {}
// SAFETY: A shared reference gives access to the data in one task at a time: see `get`.
unsafe impl<F, T: Send> Sync for LockedByInode<F, T> {}

impl<F: FileSystem, T> LockedByInode<F, T> {
    /// Data that the lock of `inode` protects.
    pub const fn new(inode: &Inode<F>, data: T) -> Self {
        Self {
            inode,
            data: UnsafeCell::new(data),
        }
    }

    /// The data. Returns `EINVAL` if `lock` is of another inode.
    #[inline]
    pub fn get<'a>(&'a self, lock: &'a mut Locked<'_, F>) -> Result<&'a mut T> {
        if !core::ptr::eq(self.inode, lock.inode()) {
            return Err(EINVAL);
        }
        // SAFETY: By the invariant of `Locked` nobody else has one of this inode, and it is borrowed
        // exclusively as long as the result. If an inode was freed and another has its address now,
        // whoever used the data under the lock of the first has ended.
        Ok(unsafe { &mut *self.data.get() })
    }

    /// The data, for somebody who owns it.
    pub fn into_inner(self) -> T {
        self.data.into_inner()
    }
}
