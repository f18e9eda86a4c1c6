// SPDX-License-Identifier: GPL-2.0

//! Publication of a reference without locks, once.

use crate::{
    reference::Counted,
    Ref, //
};
use core::{
    marker::PhantomData,
    ptr::{
        self,
        NonNull, //
    },
    sync::atomic::{
        AtomicPtr,
        Ordering, //
    },
};
use kernel::{
    prelude::*,
    sync::aref::{
        ARef,
        AlwaysRefCounted, //
    },
};

/// A reference that appears once and stays.
///
/// The kernel crate's [`SetOnce`](kernel::sync::SetOnce) has a moment in which a second value is refused
/// and the first one cannot be read yet, so that two tasks that both find nothing could not go on
/// with the same. It is no pointer either, as tools want it behind `struct inode`. For what no two
/// tasks set at a time it is right.
///
/// # Memory order
///
/// Who sees the reference sees everything that its publisher wrote before, in the object and
/// elsewhere: publishing is a release, [`get`](Self::get) an acquire, and so is a
/// publication that comes too late, because it hands out the earlier reference. Two different
/// references are never seen.
///
/// # Invariants
///
/// The pointer is null, or points to an object on which this one owns a reference, and which is there
/// as long as this one. It changes once, from null.
#[repr(transparent)]
pub struct Once<T: Counted> {
    ptr: AtomicPtr<T>,
    _owns: PhantomData<Ref<'static, T>>,
}

impl<T: Counted> Once<T> {
    /// Nothing published yet.
    pub const fn new() -> Self {
        // INVARIANT: The pointer is null.
        Self {
            ptr: AtomicPtr::new(ptr::null_mut()),
            _owns: PhantomData,
        }
    }

    /// What was published.
    #[inline]
    pub fn get(&self) -> Option<&T> {
        // ORDERING: Acquire, see the type.
        let ptr = NonNull::new(self.ptr.load(Ordering::Acquire))?;
        // SAFETY: By the type invariant the reference lives as long as `self`.
        Some(unsafe { ptr.as_ref() })
    }

    /// Publishes `value`. Returns `EEXIST`, and puts it, where something has been published before.
    ///
    /// # Safety
    ///
    /// The file system of `value` must be mounted as long as this object is there.
    pub unsafe fn publish_ref(&self, value: Ref<'_, T>) -> Result {
        let raw = Ref::into_raw(value);
        // ORDERING: Release, see the type. Acquire on failure is for `get_or_publish`.
        let stored = self.ptr.compare_exchange(
            ptr::null_mut(),
            raw.as_ptr(),
            Ordering::Release,
            Ordering::Acquire,
        );
        if stored.is_err() {
            // SAFETY: The reference was taken apart above and has not been passed on.
            drop(unsafe { Ref::from_raw(raw) });
            return Err(EEXIST);
        }
        // INVARIANT: It was null; the reference is passed on to this object.
        Ok(())
    }
}

impl<T: AlwaysRefCounted> Once<T> {
    /// Publishes `value`, or puts it where something has been published before. Returns what is
    /// published now.
    pub fn get_or_publish(&self, value: ARef<T>) -> Option<&T> {
        // SAFETY: The reference is passed on. Such an object needs nothing else to be kept.
        let value = unsafe { Ref::from_raw(ARef::into_raw(value)) };
        // What was there before will do.
        // SAFETY: It is kept by its count alone.
        let _ = unsafe { self.publish_ref(value) };
        self.get()
    }
}

impl<T: Counted> Default for Once<T> {
    fn default() -> Self {
        Self::new()
    }
}

impl<T: Counted> Drop for Once<T> {
    fn drop(&mut self) {
        if let Some(ptr) = NonNull::new(*self.ptr.get_mut()) {
            // SAFETY: By the type invariant this object owns the reference.
            drop(unsafe { Ref::from_raw(ptr) });
        }
    }
}
