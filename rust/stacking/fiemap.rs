// SPDX-License-Identifier: GPL-2.0

//! Where the data of a layer's file is on disk.
//!
//! C header: [`include/linux/fiemap.h`](srctree/include/linux/fiemap.h)

use crate::cred::AsMounter;
use kernel::prelude::*;
use vfs::{
    errno::to_result,
    inode::{
        Fiemap,
        Inode, //
    },
    Foreign, //
};

/// The extents of a layer's file.
pub trait ForeignExtents {
    /// The extents of the `len` bytes from `start` on (`->fiemap`). Returns `EOPNOTSUPP`.
    fn fiemap(&self, as_mounter: &AsMounter, request: Fiemap<'_>, start: u64, len: u64) -> Result;
}

impl ForeignExtents for Inode<Foreign> {
    fn fiemap(&self, _as_mounter: &AsMounter, request: Fiemap<'_>, start: u64, len: u64) -> Result {
        // SAFETY: An inode has operations, which are constant.
        let fiemap = unsafe { (*(*self.as_raw()).i_op).fiemap }.ok_or(EOPNOTSUPP)?;
        // SAFETY: Both are valid by their type invariants.
        to_result(unsafe { fiemap(self.as_raw(), request.as_raw(), start, len) })
    }
}
