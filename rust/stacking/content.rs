// SPDX-License-Identifier: GPL-2.0

//! What can be told of the content of a directory of a layer without reading it.

use crate::{
    cred::AsMounter,
    path::LayerPath, //
};
use kernel::prelude::*;
use vfs::{
    bindings,
    inode::mask,
    stat::StatRequest, //
};

/// File systems that keep their names themselves, list all that a lookup finds, and change the times of
/// a directory with its content: ext2 to ext4, xfs, btrfs, tmpfs, f2fs, erofs, squashfs
/// (`include/uapi/linux/magic.h`).
const KNOWN: [u32; 7] = [
    0xef53,
    0x5846_5342,
    0x9123_683e,
    0x0102_1994,
    0xf2f5_2010,
    0xe0f5_e1e2,
    0x7371_7368,
];

impl LayerPath<'_> {
    /// Whether what a reader of this directory is told is what a lookup finds, byte for byte, and a change
    /// of it changes the times of the directory: not in file systems on a network or in user space, which
    /// revalidate, nor in stacking ones, nor where names are encrypted or their case is folded.
    pub fn tells_all_names(&self) -> bool {
        let Some(inode) = self.dentry.inode() else {
            return false;
        };
        // SAFETY: Valid by the type invariant; constant.
        let magic = unsafe { (*self.dentry.layer_sb().as_raw()).s_magic };
        let is_known = u32::try_from(magic).is_ok_and(|magic| KNOWN.contains(&magic));
        is_known
            && !self.dentry.is_remote()
            && inode.flags() & (bindings::S_ENCRYPTED | bindings::S_CASEFOLD) == 0
    }

    /// Whether the file system tells the names in this directory apart by their bytes: those that do not,
    /// and have no flag for it, do not cache that a name is free.
    ///
    /// Looks up a name that nothing should have.
    pub fn tells_names_apart(&self, as_mounter: &AsMounter) -> bool {
        let Ok(dentry) = self.lookup(as_mounter, b".rovl: nothing has this name") else {
            return false;
        };
        let exact = dentry.is_negative() && !dentry.is_unhashed();
        dentry.drop_if_unused_negative();
        exact
    }

    /// Whether the mounter may look up names in this directory.
    pub fn may_search(&self, as_mounter: &AsMounter) -> bool {
        self.permission(as_mounter, mask::EXEC).is_ok()
    }

    /// A number that is another one after the content of this directory has changed, as its times, its
    /// size and its version say.
    pub fn stamp(&self) -> u64 {
        self.dentry.inode().map_or(0, |inode| {
            // SAFETY: Valid by the type invariant of the inode.
            unsafe { bindings::rvfs_inode_stamp(inode.as_raw()) }
        })
    }

    /// The same, so that from now on a change shows even if it is made right after (multigrain
    /// timestamps, and versions that only count what somebody has asked for).
    pub fn sharp_stamp(&self, as_mounter: &AsMounter) -> Result<u64> {
        self.getattr_nosec(as_mounter, StatRequest::CHANGES)?;
        Ok(self.stamp())
    }
}
