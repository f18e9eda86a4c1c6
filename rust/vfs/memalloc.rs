// SPDX-License-Identifier: GPL-2.0

//! How memory is got while a lock is held that writing to the file system needs.
//!
//! C header: [`include/linux/sched/mm.h`](srctree/include/linux/sched/mm.h)

use crate::bindings;
use kernel::types::NotThreadSafe;

/// As long as this is there, what the task allocates starts no I/O and waits for none (`memalloc_noio_save()`).
///
/// # Invariants
///
/// `0` is what the call returned in this task.
pub struct NoIo(u32, NotThreadSafe);

impl NoIo {
    /// From now on.
    pub fn start() -> Self {
        // SAFETY: No requirements.
        let flags = unsafe { bindings::rvfs_memalloc_noio_save() };
        // INVARIANT: Called just now.
        Self(flags, NotThreadSafe)
    }
}

impl Drop for NoIo {
    fn drop(&mut self) {
        // SAFETY: By the type invariant. One that was started before and has ended already only ends this one's
        // time earlier.
        unsafe { bindings::rvfs_memalloc_noio_restore(self.0) };
    }
}
