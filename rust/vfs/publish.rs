// SPDX-License-Identifier: GPL-2.0

//! Publication of a reference without locks, once.

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
use kernel::sync::aref::{
    ARef,
    AlwaysRefCounted, //
};

/// A reference that appears once and stays.
///
/// # Memory order
///
/// Who sees the reference sees everything that its publisher wrote before, in the object and
/// elsewhere: [`publish`](Self::publish) is a release, [`get`](Self::get) an acquire, and so is a
/// publication that comes too late, because it hands out the earlier reference. Two different
/// references are never seen.
///
/// # Invariants
///
/// The pointer is null, or points to an object on which this one owns a reference. It changes once,
/// from null.
#[repr(transparent)]
pub struct Once<T: AlwaysRefCounted> {
    ptr: AtomicPtr<T>,
    _owns: PhantomData<ARef<T>>,
}

impl<T: AlwaysRefCounted> Once<T> {
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

    /// Publishes `value`, and returns it back where something has been published before.
    pub fn publish(&self, value: ARef<T>) -> Result<&T, ARef<T>> {
        let raw = ARef::into_raw(value);
        // ORDERING: Release, see the type. Acquire on failure is for `get_or_publish`.
        match self.ptr.compare_exchange(
            ptr::null_mut(),
            raw.as_ptr(),
            Ordering::Release,
            Ordering::Acquire,
        ) {
            // INVARIANT: It was null; the reference is passed on to this object.
            // SAFETY: By the type invariant.
            Ok(_) => Ok(unsafe { raw.as_ref() }),
            // SAFETY: The reference was taken apart above and has not been passed on.
            Err(_) => Err(unsafe { ARef::from_raw(raw) }),
        }
    }

    /// Publishes `value`, or drops it where something has been published before. Returns what is
    /// published now.
    pub fn get_or_publish(&self, value: ARef<T>) -> Option<&T> {
        match self.publish(value) {
            Ok(published) => Some(published),
            Err(late) => {
                drop(late);
                self.get()
            }
        }
    }
}

impl<T: AlwaysRefCounted> Default for Once<T> {
    fn default() -> Self {
        Self::new()
    }
}

impl<T: AlwaysRefCounted> Drop for Once<T> {
    fn drop(&mut self) {
        if let Some(ptr) = NonNull::new(*self.ptr.get_mut()) {
            // SAFETY: By the type invariant this object owns the reference.
            drop(unsafe { ARef::from_raw(ptr) });
        }
    }
}
