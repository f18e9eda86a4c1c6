// SPDX-License-Identifier: GPL-2.0

//! Open files of layers.

use crate::{
    bindings,
    cred::AsMounter, //
};
use kernel::{
    error::to_result,
    fs::File,
    prelude::*, //
};

/// What is done with an open file of a layer.
pub trait LayerFile {
    /// Moves the position and returns it (`vfs_llseek()`).
    ///
    /// Whoever calls it keeps others from using the position.
    fn llseek(&self, as_mounter: &AsMounter, offset: i64, whence: i32) -> Result<i64>;

    /// The position.
    fn pos(&self) -> i64;

    /// Writes back what is dirty between `start` and `end`, both included (`vfs_fsync_range()`).
    fn fsync_range(&self, as_mounter: &AsMounter, start: i64, end: i64, datasync: bool) -> Result;
}

impl LayerFile for File {
    fn llseek(&self, _as_mounter: &AsMounter, offset: i64, whence: i32) -> Result<i64> {
        // SAFETY: The file is valid.
        let pos = unsafe { bindings::vfs_llseek(self.as_ptr(), offset, whence) };
        if pos < 0 {
            // CAST: an error number.
            to_result(pos as c_int)?;
        }
        Ok(pos)
    }

    fn pos(&self) -> i64 {
        // SAFETY: The file is valid; a racy read of an integer, as in C.
        unsafe { (&raw const (*self.as_ptr()).f_pos).read_volatile() }
    }

    fn fsync_range(&self, _as_mounter: &AsMounter, start: i64, end: i64, datasync: bool) -> Result {
        // SAFETY: The file is valid.
        to_result(unsafe {
            bindings::vfs_fsync_range(self.as_ptr(), start, end, c_int::from(datasync))
        })
    }
}
