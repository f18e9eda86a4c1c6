// SPDX-License-Identifier: GPL-2.0

//! Copying the data of a file.

use crate::{
    object::{
        entry::{
            Flag,
            InodeExt, //
        },
        reason, //
    },
    upper::{
        copy_up::{
            account::DataCopied,
            xattrs::{
                is_no_capability,
                CAPABILITY, //
            },
            CopyUp,
            Need, //
        },
        Upper, //
    }, //
};
use kernel::{
    fs::File,
    prelude::*, //
};
use ondisk::xattr::Name;
use stacking::{
    copy::{
        self,
        DataCopy, //
    },
    mount::WriteAccess,
    path::LayerPath,
    prelude::*, //
};
use vfs::{
    iattr::Iattr,
    stat::StatRequest, //
};

/// How much is copied between two looks for a signal, in bytes.
const CHUNK: i64 = 1 << 20;

impl CopyUp<'_> {
    /// Copies the data to `to`, by sharing it if the file system can, and syncs it.
    pub(crate) fn copy_data(&self, to: &File) -> Result {
        let len = self.stat.size();
        if len == 0 {
            return Ok(());
        }
        let copy = DataCopy::new(self.m, self.inode.data_path()?, to)?;
        // Shared data needs no sync, the file system does that with the metadata.
        if copy.share(len).is_ok_and(|shared| shared == len) {
            self.data.set(DataCopied::Shared(u64::try_from(len)?));
            return Ok(());
        }
        copy.verify(len)?;
        self.data.set(DataCopied::Bytes(copy_chunks(&copy, len)?));
        // With the metadata if that is synced.
        if !self.ofs.config.should_sync() || (self.syncs_metadata() && self.is_new()) {
            return Ok(());
        }
        self.sync_data(to)
    }

    /// Sees to it that nobody finds the copy without its data after a crash.
    ///
    /// Where the file system sees to the rest it is enough that the device has it: what says where the data
    /// is has been logged when that is told, the copy gets its name later in the same log, and before that
    /// counts the cache of the device is flushed.
    fn sync_data(&self, to: &File) -> Result {
        // For a test of the tests, which have to find what happens without: tools/powercut/copy-up.
        if cfg!(rovl_break_copy_up_wait) {
            return Ok(());
        }
        if self.ofs.upper_fs.orders_data_before_names && !self.ofs.config.should_sync_metadata() {
            copy::write_data(self.m, to)
        } else {
            copy::sync(self.m, to)
        }
    }

    /// Whether the copy is made, and not one that was made without data completed.
    pub(crate) fn is_new(&self) -> bool {
        self.inode.upper().is_none()
    }

    /// Gives a file in the upper layer that was copied up without its data the data.
    ///
    /// It is in use by its name all the time: until the attribute `metacopy` is removed, which is
    /// the last thing, what it holds does not count.
    pub(crate) fn complete_data(&self, access: &WriteAccess<'_>) -> Result {
        let path = self.inode.real().upper_path().ok_or(reason::NOT_IN_UPPER)?;
        // Writing removes the file capabilities.
        let mut value = KVVec::new();
        let capability = match path.getxattr_growing(self.m, CAPABILITY, &mut value) {
            _ if self.stat.size() == 0 => None,
            Ok(len) => value.get(..len),
            Err(err) if is_no_capability(err) => None,
            Err(err) => return Err(err),
        };
        let copied = match self.stat.size() {
            0 => Ok(()),
            _ => path
                .open(self.m, true)
                .and_then(|file| self.copy_data(&file)),
        };
        let write = access.start_write();
        let upper = Upper {
            ofs: self.ofs,
            m: self.m,
            write: &write,
        };
        if let Some(value) = capability {
            // Also where only some of the data could be written.
            write.setxattr(self.m, path.dentry, CAPABILITY, value)?;
        }
        copied?;
        match self.need {
            Need::NoData => self.give_up_data(&upper, path)?,
            _ => upper.remove_xattr(path.dentry, Name::Metacopy)?,
        }
        self.inode.data().set(Flag::UpperData);
        Ok(())
    }

    /// Makes a file that was copied up without its data an empty one.
    ///
    /// What the attribute `metacopy` is removed from is empty already, and not a hole of its former
    /// size, which would be seen for good if the file was not truncated after all.
    fn give_up_data(&self, upper: &Upper<'_>, path: LayerPath<'_>) -> Result {
        let before = path.getattr(self.m, StatRequest::BASIC)?;
        upper.set_attr(path.dentry, &mut Iattr::size(0))?;
        let removed = upper.remove_xattr(path.dentry, Name::Metacopy);
        if removed.is_err() {
            let _ = upper.set_attr(path.dentry, &mut Iattr::size(before.size()));
            let _ = upper.set_attr(path.dentry, &mut Iattr::times(&before));
        }
        removed
    }
}

/// Copies the first `len` bytes, keeping holes where the source tells of them. Returns how many bytes were
/// copied, without the holes.
///
/// Returns `EINTR` where the task is about to be killed.
fn copy_chunks(copy: &DataCopy<'_>, len: i64) -> Result<u64> {
    let mut seeks = copy.can_seek();
    let (mut pos, mut bytes) = (0, 0u64);
    // There is data from `pos` to somewhere behind this.
    let mut data = -1;
    while pos < len {
        if copy::is_killed() {
            return Err(EINTR);
        }
        if seeks && data < pos {
            match copy.next_data(pos) {
                Ok(next) if next > pos => {
                    data = next;
                    pos = next;
                    continue;
                }
                Ok(next) => data = next,
                // A hole up to the end.
                Err(err) if err == ENXIO => break,
                Err(_) => seeks = false,
            }
        }
        let chunk = CHUNK.min(len.saturating_sub(pos));
        let copied = copy.splice(pos, usize::try_from(chunk)?)?;
        // Shorter than it was.
        if copied == 0 {
            break;
        }
        pos = pos.saturating_add(copied);
        bytes = bytes.saturating_add(u64::try_from(copied)?);
    }
    Ok(bytes)
}
