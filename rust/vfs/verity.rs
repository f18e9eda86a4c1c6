// SPDX-License-Identifier: GPL-2.0

//! fs-verity: files that cannot be changed, and are known by a digest of what is in them.
//!
//! C header: [`include/linux/fsverity.h`](srctree/include/linux/fsverity.h)

use crate::{
    bindings,
    inode::Inode,
    Foreign, //
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
