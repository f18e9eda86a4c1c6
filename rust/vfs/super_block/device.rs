// SPDX-License-Identifier: GPL-2.0

//! What another file system is, and how it is made: asked of the outside, since what it knows of itself
//! is private to it.

use super::SuperBlock;
use crate::{
    bindings,
    errno::to_result,
    Foreign, //
};
use kernel::{
    prelude::*,
    str::CStr, //
};

/// The file systems whose `->show_options` looks at nothing of the `struct seq_file` but its buffer.
const SHOW_OPTIONS_TO_BUFFER: [&CStr; 2] = [c"ext4", c"xfs"];

impl SuperBlock<Foreign> {
    /// The name of its type.
    pub fn type_name(&self) -> &CStr {
        // SAFETY: Valid by the type invariant; a super block keeps its type, whose name is constant.
        unsafe { CStr::from_char_ptr((*(*self.as_raw()).s_type).name) }
    }

    /// Reads what is at `pos` of the block device, all of it in one page, as the page cache of the device
    /// has it. May sleep.
    ///
    /// Returns `ENODEV` where there is none, `EINVAL` for more than a page, and `EIO`.
    pub fn read_device(&self, pos: u64, to: &mut [u8]) -> Result {
        // SAFETY: Valid by the type invariant; the length is that of the slice.
        to_result(unsafe {
            bindings::rvfs_sb_read_device(self.as_raw(), pos, to.as_mut_ptr(), to.len())
        })
    }

    /// The options that it shows of itself in `/proc/mounts` (`->show_options`), each after a comma.
    ///
    /// Returns `EOPNOTSUPP` but for ext4 and xfs, and `E2BIG` where they do not fit.
    pub fn options<'a>(&self, to: &'a mut [u8]) -> Result<&'a [u8]> {
        if !SHOW_OPTIONS_TO_BUFFER.contains(&self.type_name()) {
            return Err(EOPNOTSUPP);
        }
        // SAFETY: Valid by the type invariant, and mounted, so that there is a root; the length is that
        // of the slice, and the type one of those that need no more than the buffer.
        let len = unsafe { bindings::rvfs_sb_options(self.as_raw(), to.as_mut_ptr(), to.len()) };
        to.get(..crate::xattr::length(len)?).ok_or(EIO)
    }
}
