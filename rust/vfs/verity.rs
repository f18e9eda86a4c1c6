// SPDX-License-Identifier: GPL-2.0

//! fs-verity: files that cannot be changed, and are known by a digest of what is in them.
//!
//! C header: [`include/linux/fsverity.h`](srctree/include/linux/fsverity.h)

use crate::{
    bindings,
    cred::AsMounter,
    inode::Inode,
    path::LayerPath,
    Foreign, //
};
use kernel::{
    error::from_err_ptr,
    fs::File,
    prelude::*,
    sync::aref::ARef, //
};

/// The length of the longest digest (`FS_VERITY_MAX_DIGEST_SIZE`).
const MAX_DIGEST_LEN: usize = bindings::rvfs_const_RVFS_VERITY_MAX_DIGEST_SIZE as usize;

/// The digest of a file.
pub struct Digest {
    bytes: [u8; MAX_DIGEST_LEN],
    len: usize,
    algorithm: u8,
}

impl Digest {
    /// With which algorithm it was made (`FS_VERITY_HASH_ALG_*`).
    pub fn algorithm(&self) -> u8 {
        self.algorithm
    }

    /// The digest.
    pub fn as_bytes(&self) -> &[u8] {
        self.bytes.get(..self.len).unwrap_or_default()
    }
}

impl Inode<Foreign> {
    /// Whether it is protected by fs-verity (`fsverity_active()`).
    pub fn has_verity(&self) -> bool {
        // SAFETY: Valid by the type invariant.
        unsafe { bindings::rvfs_fsverity_active(self.as_raw()) }
    }

    /// The digest of a file whose verity information has been loaded (`fsverity_get_digest()`), or
    /// `None` if it has none.
    pub fn verity_digest(&self) -> Option<Digest> {
        let mut bytes = [0; MAX_DIGEST_LEN];
        let mut algorithm = 0;
        // SAFETY: Valid by the type invariant; there is room for the longest digest.
        let len = unsafe {
            bindings::rvfs_fsverity_get_digest(self.as_raw(), bytes.as_mut_ptr(), &mut algorithm)
        };
        let len = usize::try_from(len).ok().filter(|len| *len > 0)?;
        Some(Digest {
            bytes,
            len: len.min(MAX_DIGEST_LEN),
            algorithm,
        })
    }
}

impl LayerPath<'_> {
    /// Loads the verity information of a file, for [`Inode::verity_digest`]. It is what opening the
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
