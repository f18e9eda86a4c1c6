// SPDX-License-Identifier: GPL-2.0

//! What the file system of the upper layer promises, which is found out once, when it is mounted.
//!
//! What is not known is not promised: whoever relies on one of these has another way that always works.

use kernel::{
    page::PAGE_SIZE,
    prelude::*, //
};
use ondisk::upper_fs::{
    self,
    EXT4_SUPER_BLOCK,
    SUPER_BLOCK_LEN, //
};
use vfs::{
    super_block::SuperBlock,
    Foreign, //
};

/// How what one overlay did is made durable without what others did on the file system.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum OwnSync {
    /// Not known: the whole file system has to be synced.
    Unknown,
    /// Nothing is durable there, and nothing has to be written.
    Nothing,
    /// By writing the data of files and waiting for it, and then by its `->sync_fs`.
    Files {
        /// `->sync_fs` does not flush the cache of the device if nothing but data was written.
        flush: bool,
        /// A thread of the file system's own starts to write what it compresses, so that only who asks a
        /// second time finds all of it being written.
        twice: bool,
    },
}

/// What the file system of the upper layer promises.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct UpperFs {
    /// How one's own changes are synced.
    pub(crate) own_sync: OwnSync,
    /// Data that was written to a file and waited for is not missing from it after a crash that has kept
    /// a name which was made later: no fsync is needed between the two.
    pub(crate) orders_data_before_names: bool,
}

impl UpperFs {
    /// Of which nothing is known.
    pub(crate) const UNKNOWN: Self = Self {
        own_sync: OwnSync::Unknown,
        orders_data_before_names: false,
    };

    /// Of `sb`, which is mounted for writing. May sleep.
    pub(crate) fn of(sb: &SuperBlock<Foreign>) -> Self {
        let known = match sb.type_name().to_bytes() {
            b"ext4" => Self::ext4(sb),
            b"xfs" => Self::xfs(sb),
            b"btrfs" => Ok(Self {
                own_sync: OwnSync::Files {
                    // What was written gets into the trees by a transaction, whose commit flushes.
                    flush: false,
                    twice: true,
                },
                // Data that was written gets into a file by a transaction that may be a later one than that
                // of the name.
                orders_data_before_names: false,
            }),
            b"tmpfs" => Ok(Self {
                own_sync: OwnSync::Nothing,
                ..Self::UNKNOWN
            }),
            _ => Err(EOPNOTSUPP),
        };
        known.unwrap_or(Self::UNKNOWN)
    }

    fn files(flush: bool, orders_data_before_names: bool) -> Self {
        Self {
            own_sync: OwnSync::Files {
                flush,
                twice: false,
            },
            orders_data_before_names,
        }
    }

    fn ext4(sb: &SuperBlock<Foreign>) -> Result<Self> {
        with_bytes(sb, EXT4_SUPER_BLOCK, |super_block, options| {
            let ext4 = upper_fs::ext4(super_block, options);
            if ext4.journal {
                Ok(Self::files(false, ext4.ordered))
            } else {
                Err(EOPNOTSUPP)
            }
        })
    }

    fn xfs(sb: &SuperBlock<Foreign>) -> Result<Self> {
        with_bytes(sb, 0, |super_block, options| {
            let xfs = upper_fs::xfs(super_block, options);
            if xfs.data_device {
                Ok(Self::files(true, xfs.ordered))
            } else {
                Err(EOPNOTSUPP)
            }
        })
    }
}

/// Runs `f` with the super block that is at `pos` of the device, and with the options of the mount.
fn with_bytes<R>(
    sb: &SuperBlock<Foreign>,
    pos: u64,
    f: impl FnOnce(&[u8], &[u8]) -> Result<R>,
) -> Result<R> {
    let mut super_block = [0; SUPER_BLOCK_LEN];
    sb.read_device(pos, &mut super_block)?;
    let mut options = KVec::from_elem(0, PAGE_SIZE, GFP_KERNEL)?;
    f(&super_block, sb.options(&mut options)?)
}
