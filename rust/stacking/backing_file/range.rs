// SPDX-License-Identifier: GPL-2.0

//! Operations on ranges of backing files.

use super::BackingFile;
use crate::cred::AsMounter;
use kernel::prelude::*;
use vfs::{
    bindings,
    errno::to_result,
    file::{
        count_result,
        offset_result, //
    }, //
};

impl BackingFile {
    /// Writes back what is dirty between `start` and `end`, both included, and only what is needed
    /// to read it again if `datasync` (`vfs_fsync_range()`).
    pub fn fsync(&self, _as_mounter: &AsMounter, start: i64, end: i64, datasync: bool) -> Result {
        // SAFETY: Valid by the type invariant.
        to_result(unsafe {
            bindings::vfs_fsync_range(self.as_raw(), start, end, c_int::from(datasync))
        })
    }

    /// Allocates, punches, zeroes, … `len` bytes from `offset` on, as `mode` (`FALLOC_FL_*`) says
    /// (`vfs_fallocate()`).
    pub fn fallocate(&self, as_mounter: &AsMounter, mode: i32, offset: i64, len: i64) -> Result {
        as_mounter.check()?;
        // SAFETY: Valid by the type invariant.
        to_result(unsafe { bindings::vfs_fallocate(self.as_raw(), mode, offset, len) })
    }

    /// Tells how `len` bytes from `offset` on will be used (`POSIX_FADV_*`, `vfs_fadvise()`).
    pub fn fadvise(&self, _as_mounter: &AsMounter, offset: i64, len: i64, advice: i32) -> Result {
        // SAFETY: Valid by the type invariant.
        to_result(unsafe { bindings::vfs_fadvise(self.as_raw(), offset, len, advice) })
    }

    /// Checks that the mounter may read `len` bytes from `pos` on (`rw_verify_area()`).
    pub fn verify_read(&self, _as_mounter: &AsMounter, pos: i64, len: usize) -> Result {
        // SAFETY: Valid by the type invariant; the position is only read. CAST: a constant.
        to_result(unsafe {
            bindings::rw_verify_area(bindings::READ as c_int, self.as_raw(), &pos, len)
        })
    }

    /// Copies `len` bytes from `pos` on to `to` at `to_pos` (`vfs_copy_file_range()`). Returns the
    /// number of bytes copied.
    pub fn copy_to(
        &self,
        as_mounter: &AsMounter,
        pos: i64,
        to: &Self,
        to_pos: i64,
        len: usize,
        flags: u32,
    ) -> Result<usize> {
        as_mounter.check()?;
        // SAFETY: Both are valid by the type invariant.
        count_result(unsafe {
            bindings::vfs_copy_file_range(self.as_raw(), pos, to.as_raw(), to_pos, len, flags)
        })
    }

    /// Makes `to` share `len` bytes from `pos` on, at `to_pos` (`vfs_clone_file_range()`). Returns
    /// the number of bytes shared.
    pub fn clone_to(
        &self,
        as_mounter: &AsMounter,
        pos: i64,
        to: &Self,
        to_pos: i64,
        len: i64,
        flags: u32,
    ) -> Result<i64> {
        as_mounter.check()?;
        // SAFETY: Both are valid by the type invariant.
        offset_result(unsafe {
            bindings::vfs_clone_file_range(self.as_raw(), pos, to.as_raw(), to_pos, len, flags)
        })
    }

    /// Makes `to` share `len` bytes from `pos` on with those it has at `to_pos`, if they are equal
    /// (`vfs_dedupe_file_range_one()`). Returns the number of bytes shared.
    pub fn dedupe_to(
        &self,
        as_mounter: &AsMounter,
        pos: i64,
        to: &Self,
        to_pos: i64,
        len: i64,
        flags: u32,
    ) -> Result<i64> {
        as_mounter.check()?;
        // SAFETY: Both are valid by the type invariant.
        offset_result(unsafe {
            bindings::vfs_dedupe_file_range_one(self.as_raw(), pos, to.as_raw(), to_pos, len, flags)
        })
    }
}
