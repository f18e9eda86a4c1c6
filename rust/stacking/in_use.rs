// SPDX-License-Identifier: GPL-2.0

//! Directories that one mount uses for itself.

use crate::path::LayerPath;
use vfs::{
    bindings,
    inode::Inode,
    path::Path,
    Foreign, //
};

/// A directory of a layer that this mount uses exclusively, as upper or work directory, as long as
/// this object lives.
///
/// The mark is that of fs/overlayfs, so both modules see each other.
///
/// # Invariants
///
/// The dentry of `0` is positive, and its inode has the mark for this object.
pub struct InUse(Path);

impl InUse {
    /// Marks `dir`, unless it is marked already.
    pub fn try_new(dir: LayerPath<'_>) -> Option<Self> {
        let inode = dir.dentry.inode()?;
        // SAFETY: Valid by the type invariant.
        let marked = unsafe { bindings::rvfs_inuse_trylock(inode.as_raw()) };
        // INVARIANT: Marked just now.
        marked.then(|| Self(dir.to_path()))
    }
}

impl Drop for InUse {
    fn drop(&mut self) {
        if let Some(inode) = self.0.dentry().inode() {
            // SAFETY: Valid by the type invariant, and the mark is ours.
            unsafe { bindings::rvfs_inuse_unlock(inode.as_raw()) };
        }
    }
}

/// Whether an inode of a layer is marked.
pub trait HasInUse {
    /// Whether an overlay uses it as its upper or work directory.
    fn is_inuse(&self) -> bool;
}

impl HasInUse for Inode<Foreign> {
    fn is_inuse(&self) -> bool {
        // SAFETY: Valid by the type invariant.
        unsafe { bindings::rvfs_is_inuse(self.as_raw()) }
    }
}
