// SPDX-License-Identifier: GPL-2.0

//! fs-verity: loading what is known of a layer's file.
//!
//! C header: [`include/linux/fsverity.h`](srctree/include/linux/fsverity.h)

use crate::{
    cred::AsMounter,
    path::LayerPath, //
};
use kernel::{
    error::from_err_ptr,
    fs::File,
    prelude::*,
    sync::aref::ARef, //
};
use vfs::bindings;

impl LayerPath<'_> {
    /// Loads the verity information of a file, for [`vfs::inode::Inode::verity_digest`]. It is what opening the
    /// file does, and the information then stays as long as the inode.
    ///
    /// Does nothing if the file is not protected. May sleep. Returns the error of opening it.
    pub fn load_verity(&self, _as_mounter: &AsMounter) -> Result {
        let inode = self.dentry.inode().ok_or(ENOENT)?;
        // SAFETY: Valid by the type invariant.
        if unsafe { bindings::rvfs_fsverity_is_loaded(inode.as_raw()) } || !inode.has_verity() {
            return Ok(());
        }
        // SAFETY: The path is valid and positive, and the current credentials are the mounter's.
        let file = from_err_ptr(unsafe {
            bindings::kernel_file_open(
                &self.to_raw(),
                bindings::O_RDONLY as c_int,
                bindings::rvfs_current_cred(),
            )
        })?;
        let file = core::ptr::NonNull::new(file).ok_or(EIO)?;
        // SAFETY: `kernel_file_open()` returns a new reference; no position lock is in use.
        drop(unsafe { ARef::<File>::from_raw(file.cast()) });
        Ok(())
    }
}
