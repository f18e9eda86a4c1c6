// SPDX-License-Identifier: GPL-2.0

//! The lock of an inode as a proof, and data that it protects.

use super::{
    Inode,
    InodeLock, //
};
use crate::FileSystem;
use core::{
    cell::UnsafeCell,
    marker::PhantomData, //
};
use kernel::{
    prelude::*,
    types::NotThreadSafe, //
};

/// Proof that `i_rwsem` of an inode is held for writing, by whomever.
///
/// # Invariants
///
/// The lock is held for `'a` by this task. There is one such object of an inode at a time, apart
/// from those that are borrowed for the time being.
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

    /// The locked inode.
    #[inline]
    pub fn inode(&self) -> &'a Inode<F> {
        self.inode
    }
}

impl<F> InodeLock<'_, F> {
    /// The proof, which borrows the lock.
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
pub struct ByInodeLock<F, T> {
    /// Compared only.
    inode: *const Inode<F>,
    data: UnsafeCell<T>,
}

// SAFETY: The pointer is only compared, and the data may be sent.
unsafe impl<F, T: Send> Send for ByInodeLock<F, T> {}
// SAFETY: A shared reference gives access to the data in one task at a time: see `get`.
unsafe impl<F, T: Send> Sync for ByInodeLock<F, T> {}

impl<F: FileSystem, T> ByInodeLock<F, T> {
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
