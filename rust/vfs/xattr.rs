// SPDX-License-Identifier: GPL-2.0

//! Extended attributes.
//!
//! C header: [`include/linux/xattr.h`](srctree/include/linux/xattr.h)

mod handler;

pub(crate) use handler::list_into;
pub use handler::{
    Change,
    Handler,
    Handlers, //
};

use crate::{
    dentry::Dentry,
    errno::to_result,
    Foreign, //
};
use kernel::prelude::*;

/// The length that a function of C returned, or its error.
#[doc(hidden)]
pub fn length(ret: isize) -> Result<usize> {
    usize::try_from(ret).map_err(|_| {
        // CAST: an error number.
        to_result(ret as c_int).err().unwrap_or(EINVAL)
    })
}

impl Dentry<Foreign> {
    /// Whether its file system can list attributes.
    pub fn lists_xattrs(&self) -> bool {
        self.inode().is_some_and(|inode| {
            // SAFETY: Valid by the type invariant; `i_op` is never null.
            unsafe { (*(*inode.as_raw()).i_op).listxattr.is_some() }
        })
    }
}
