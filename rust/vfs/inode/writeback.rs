// SPDX-License-Identifier: GPL-2.0

//! Data of files of other file systems that has not been written yet.

use super::Inode;
use crate::{
    bindings,
    errno::to_result,
    Foreign, //
};
use kernel::prelude::*;

/// A point in the sequence of write-back errors of an inode.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct WritebackErrors(u32);

impl WritebackErrors {
    /// Before the first one.
    pub const NONE: Self = Self(0);
}

impl Inode<Foreign> {
    /// Whether somebody has it open for writing, or mapped so (`inode_is_open_for_write()`).
    pub fn is_open_for_write(&self) -> bool {
        // SAFETY: Valid by the type invariant.
        unsafe { bindings::rvfs_inode_is_open_for_write(self.as_raw()) }
    }

    /// Whether it is mapped shared and writable (`mapping_writably_mapped()`).
    pub fn is_mapped_writable(&self) -> bool {
        // SAFETY: Valid by the type invariant.
        unsafe { bindings::rvfs_inode_is_mapped_writable(self.as_raw()) }
    }

    /// Whether there is direct I/O on it that has not ended. What a device fills for it may be data of
    /// another file.
    pub fn has_direct_io(&self) -> bool {
        // SAFETY: Valid by the type invariant.
        unsafe { bindings::rvfs_inode_has_direct_io(self.as_raw()) }
    }

    /// Waits for that (`inode_dio_wait()`). Whoever keeps new one from starting does not wait for long.
    pub fn wait_for_direct_io(&self) {
        // SAFETY: Valid by the type invariant.
        unsafe { bindings::rvfs_inode_wait_for_direct_io(self.as_raw()) };
    }

    /// Whether it has data that is dirty or that is being written.
    pub fn has_unwritten_data(&self) -> bool {
        // SAFETY: Valid by the type invariant.
        unsafe { bindings::rvfs_inode_has_unwritten_data(self.as_raw()) }
    }

    /// Starts to write all dirty data (`filemap_fdatawrite()`). May sleep, and takes locks of folios.
    ///
    /// Returns the error of what could not be started.
    pub fn start_writeback(&self) -> Result {
        // SAFETY: Valid by the type invariant; in use, so that it is not evicted.
        to_result(unsafe { bindings::rvfs_inode_start_writeback(self.as_raw()) })
    }

    /// Waits until what is being written is written (`filemap_fdatawait_keep_errors()`).
    pub fn wait_for_writeback(&self) {
        // SAFETY: As above.
        unsafe { bindings::rvfs_inode_wait_for_writeback(self.as_raw()) };
    }

    /// The point at which the errors are now.
    pub fn writeback_errors(&self) -> WritebackErrors {
        // SAFETY: Valid by the type invariant.
        WritebackErrors(unsafe { bindings::rvfs_inode_wb_err(self.as_raw()) })
    }

    /// The error since `since`, if there was one, which is moved to now. Others see it as before, as a
    /// descriptor does that is synced.
    pub fn take_writeback_error(&self, since: &mut WritebackErrors) -> Result {
        let now = self.writeback_errors();
        if now == *since {
            return Ok(());
        }
        *since = now;
        // CAST: at most `MAX_ERRNO`.
        to_result(-((now.0 & bindings::MAX_ERRNO) as c_int))
    }
}
