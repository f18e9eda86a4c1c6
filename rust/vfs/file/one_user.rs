// SPDX-License-Identifier: GPL-2.0

//! Data of an open file that only one task uses at a time.

use core::{
    cell::UnsafeCell,
    ops::{
        Deref,
        DerefMut, //
    },
    sync::atomic::{
        AtomicBool,
        Ordering, //
    },
};
use kernel::{
    prelude::*,
    types::NotThreadSafe, //
};

/// Data that is used with the position of an open file: what is known of the reading of a directory.
///
/// The VFS takes `f_pos_lock` for getdents(2) and lseek(2) of a directory, and so does everybody in the
/// kernel by having a file of their own. Therefore nobody waits here; whoever comes second is refused.
pub struct OneUser<T> {
    in_use: AtomicBool,
    data: UnsafeCell<T>,
}

// SAFETY: The data may be sent.
unsafe impl<T: Send> Send for OneUser<T> {}
// SAFETY: A shared reference gives access to the data in one task at a time: see `get`.
unsafe impl<T: Send> Sync for OneUser<T> {}

/// The use of [`OneUser`], which ends when this is dropped.
///
/// # Invariants
///
/// `in_use` was set by the one who made this, and is not cleared before its end.
pub struct InUse<'a, T> {
    one: &'a OneUser<T>,
    _not_thread_safe: NotThreadSafe,
}

impl<T> OneUser<T> {
    /// Nobody uses it.
    pub const fn new(data: T) -> Self {
        Self {
            in_use: AtomicBool::new(false),
            data: UnsafeCell::new(data),
        }
    }

    /// Uses it. Returns `EBUSY` where somebody else does.
    #[inline]
    pub fn get(&self) -> Result<InUse<'_, T>> {
        // ORDERING: Acquire pairs with the Release at the end of the use before.
        if self.in_use.swap(true, Ordering::Acquire) {
            return Err(EBUSY);
        }
        // INVARIANT: Just set.
        Ok(InUse {
            one: self,
            _not_thread_safe: NotThreadSafe,
        })
    }

    /// The data, for somebody who owns it.
    pub fn into_inner(self) -> T {
        self.data.into_inner()
    }
}

impl<T> Deref for InUse<'_, T> {
    type Target = T;

    #[inline]
    fn deref(&self) -> &T {
        // SAFETY: By the type invariant nobody else uses it.
        unsafe { &*self.one.data.get() }
    }
}

impl<T> DerefMut for InUse<'_, T> {
    #[inline]
    fn deref_mut(&mut self) -> &mut T {
        // SAFETY: By the type invariant nobody else uses it.
        unsafe { &mut *self.one.data.get() }
    }
}

impl<T> Drop for InUse<'_, T> {
    fn drop(&mut self) {
        // ORDERING: See `get`.
        self.one.in_use.store(false, Ordering::Release);
    }
}

#[cfg(rovl_kunit)]
#[kernel::macros::kunit_tests(vfs_one_user)]
mod tests {
    use super::*;

    #[test]
    fn the_second_is_refused() -> Result {
        let one = OneUser::new(1);
        let mut first = one.get()?;
        assert!(one.get().is_err());
        *first = 2;
        drop(first);
        assert_eq!(*one.get()?, 2);
        assert_eq!(one.into_inner(), 2);
        Ok(())
    }
}
