// SPDX-License-Identifier: GPL-2.0

//! Semaphores for readers and writers.
//!
//! C header: [`include/linux/rwsem.h`](srctree/include/linux/rwsem.h)

use crate::{
    bindings,
    errno::to_result, //
};
use kernel::{
    prelude::*,
    types::{
        NotThreadSafe,
        Opaque, //
    }, //
};

/// What a semaphore is for: of two that one task holds at a time, the one that it takes first, and the one
/// that it takes second. Each has a class of its own in lockdep.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// Taken first.
    Outer = 0,
    /// Taken second.
    Inner = 1,
}

/// A semaphore that many hold to read, or one to write (`struct rw_semaphore`).
///
/// A task must not take it once more while it holds it: a writer in between would make it wait for
/// itself.
#[pin_data]
pub struct RwSem {
    #[pin]
    sem: Opaque<bindings::rw_semaphore>,
}

// SAFETY: Any task may use a semaphore.
unsafe impl Send for RwSem {}
// SAFETY: As above.
unsafe impl Sync for RwSem {}

impl RwSem {
    /// One that nobody holds. A file system that stacks on `depth - 1` others takes it before theirs.
    pub fn new(place: Place, depth: u32) -> impl PinInit<Self> {
        pin_init!(Self {
            // SAFETY: The memory is that of a semaphore, and nobody else sees it yet.
            sem <- Opaque::ffi_init(|sem| unsafe {
                bindings::rvfs_init_rwsem(sem, place as u32, depth)
            }),
        })
    }

    /// Waits until nobody writes, or waits to write. May sleep.
    #[inline]
    pub fn read(&self) -> Reading<'_> {
        // SAFETY: Initialised by the constructor, and pinned.
        unsafe { bindings::down_read(self.sem.get()) };
        // INVARIANT: Taken just now.
        Reading {
            sem: self,
            _not_thread_safe: NotThreadSafe,
        }
    }

    /// Waits until nobody else holds it. Returns `EINTR` if the task is killed meanwhile. May sleep.
    pub fn write(&self) -> Result<Writing<'_>> {
        // SAFETY: As in `read`.
        to_result(unsafe { bindings::down_write_killable(self.sem.get()) })?;
        // INVARIANT: Taken just now.
        Ok(Writing {
            sem: self,
            _not_thread_safe: NotThreadSafe,
        })
    }

    /// Takes it if nobody holds it.
    pub fn try_write(&self) -> Option<Writing<'_>> {
        // SAFETY: As in `read`.
        if unsafe { bindings::down_write_trylock(self.sem.get()) } == 0 {
            return None;
        }
        // INVARIANT: Taken just now.
        Some(Writing {
            sem: self,
            _not_thread_safe: NotThreadSafe,
        })
    }
}

/// A semaphore that is held to read, until this is dropped.
///
/// # Invariants
///
/// This task holds it so, for this object.
pub struct Reading<'a> {
    sem: &'a RwSem,
    _not_thread_safe: NotThreadSafe,
}

impl Drop for Reading<'_> {
    #[inline]
    fn drop(&mut self) {
        // SAFETY: Held by the type invariant.
        unsafe { bindings::up_read(self.sem.sem.get()) };
    }
}

/// A semaphore that is held to write, until this is dropped.
///
/// # Invariants
///
/// This task holds it so, for this object.
pub struct Writing<'a> {
    sem: &'a RwSem,
    _not_thread_safe: NotThreadSafe,
}

impl Drop for Writing<'_> {
    fn drop(&mut self) {
        // SAFETY: Held by the type invariant.
        unsafe { bindings::up_write(self.sem.sem.get()) };
    }
}

/// Sleeps for some ten microseconds. Returns `false` if the task is about to be killed.
pub fn nap() -> bool {
    // SAFETY: No requirements but that of a context that may sleep.
    unsafe { bindings::rvfs_nap() };
    // SAFETY: No requirements.
    !unsafe { bindings::rvfs_fatal_signal_pending() }
}
