// SPDX-License-Identifier: GPL-2.0

//! Counters of which each CPU has its own, so that counting costs as good as nothing, and no CPU waits for
//! another one.
//!
//! C header: [`include/linux/percpu.h`](srctree/include/linux/percpu.h)

use crate::bindings;
use core::ptr::NonNull;
use kernel::prelude::*;

/// `N` counters.
///
/// # Invariants
///
/// The pointer is that of `N` numbers for each CPU, which nobody else knows of.
pub struct Counters<const N: usize>(NonNull<u64>);

// SAFETY: Numbers of each CPU are changed by that CPU only, in one instruction, or without interrupts.
unsafe impl<const N: usize> Sync for Counters<N> {}
// SAFETY: They belong to no task.
unsafe impl<const N: usize> Send for Counters<N> {}

impl<const N: usize> Counters<N> {
    /// All of them zero. May sleep.
    pub fn new() -> Result<Self> {
        // SAFETY: No requirements.
        let counters = unsafe { bindings::rvfs_percpu_alloc(N) };
        // INVARIANT: Allocated just now.
        Ok(Self(NonNull::new(counters).ok_or(ENOMEM)?))
    }

    /// Counter `index`, which is not that of any CPU and only the functions for it may look at.
    #[inline]
    fn at(&self, index: usize) -> Option<*mut u64> {
        // Other CPUs have theirs at the same distance from this one.
        (index < N).then(|| self.0.as_ptr().wrapping_add(index))
    }

    /// Adds `n` to counter `index`. Without effect where there is none. May be called anywhere.
    #[inline]
    pub fn add(&self, index: usize, n: u64) {
        if let Some(counter) = self.at(index) {
            // SAFETY: By the type invariant, and the index was checked.
            unsafe { bindings::rvfs_percpu_add(counter, n) };
        }
    }

    /// The sums over all CPUs. What others add meanwhile may be in them or not.
    pub fn sums(&self) -> [u64; N] {
        core::array::from_fn(|index| {
            let Some(counter) = self.at(index) else {
                return 0;
            };
            // SAFETY: By the type invariant, and the index was checked.
            unsafe { bindings::rvfs_percpu_sum(counter) }
        })
    }
}

impl<const N: usize> Drop for Counters<N> {
    fn drop(&mut self) {
        // SAFETY: By the type invariant.
        unsafe { bindings::rvfs_percpu_free(self.0.as_ptr()) };
    }
}

#[cfg(rovl_kunit)]
#[kernel::macros::kunit_tests(vfs_percpu)]
mod tests {
    use super::*;

    #[test]
    fn each_counts_for_itself() -> Result {
        let counters = Counters::<3>::new()?;
        counters.add(0, 5);
        counters.add(2, u64::MAX);
        counters.add(2, 3);
        counters.add(3, 7);
        assert_eq!(counters.sums(), [5, 0, 2]);
        Ok(())
    }
}
