// SPDX-License-Identifier: GPL-2.0

//! The steps of a sync.

use super::SuperBlock;
use crate::{
    bindings,
    errno::to_result,
    FileSystem,
    Foreign, //
};
use kernel::{
    prelude::*,
    types::NotThreadSafe, //
};

/// `s_umount` of another file system, held for reading: it neither ends nor becomes read-only meanwhile.
///
/// # Invariants
///
/// Held by this task for this object.
pub struct UmountLock<'a> {
    sb: &'a SuperBlock<Foreign>,
    _not_thread_safe: NotThreadSafe,
}

impl SuperBlock<Foreign> {
    /// Takes `s_umount` for reading. No lock of this file system may be held; those of a stacking one are
    /// taken before.
    pub fn lock_umount(&self) -> UmountLock<'_> {
        // SAFETY: Valid by the type invariant.
        unsafe { bindings::rvfs_sb_lock_umount(self.as_raw()) };
        // INVARIANT: Taken just now.
        UmountLock {
            sb: self,
            _not_thread_safe: NotThreadSafe,
        }
    }
}

impl UmountLock<'_> {
    /// Whether it is mounted read-only.
    pub fn is_rdonly(&self) -> bool {
        self.sb.is_rdonly()
    }

    /// Whether times are written when it is convenient (`SB_LAZYTIME`).
    pub fn is_lazytime(&self) -> bool {
        self.sb.flags() & bindings::rvfs_const_RVFS_SB_LAZYTIME as c_ulong != 0
    }

    /// Writes what the file system itself keeps in memory, and waits for it (`->sync_fs`).
    pub fn sync_fs(&self) -> Result {
        // SAFETY: Valid by the type invariant, and locked as the VFS has it locked for this.
        to_result(unsafe { bindings::rvfs_sb_sync_fs(self.sb.as_raw()) })
    }

    /// Flushes the cache of its device (`blkdev_issue_flush()`).
    pub fn flush_device(&self) -> Result {
        // SAFETY: Valid by the type invariant.
        to_result(unsafe { bindings::rvfs_sb_flush_device(self.sb.as_raw()) })
    }
}

impl Drop for UmountLock<'_> {
    fn drop(&mut self) {
        // SAFETY: By the type invariant.
        unsafe { bindings::rvfs_sb_unlock_umount(self.sb.as_raw()) };
    }
}

impl<F: FileSystem> SuperBlock<F> {
    /// Notes an error of writeback, which syncfs(2) reports once to each descriptor (`errseq_set()`).
    pub fn note_writeback_error(&self, err: Error) {
        // SAFETY: Valid by the type invariant; the error is a negative number.
        unsafe { bindings::rvfs_sb_errseq_set(self.as_raw(), err.to_errno()) };
    }
}
