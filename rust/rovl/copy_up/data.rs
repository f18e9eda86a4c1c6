// SPDX-License-Identifier: GPL-2.0

//! Copying the data of a file.

use super::CopyUp;
use crate::entry::InodeExt;
use kernel::{
    fs::File,
    prelude::*, //
};
use vfs::copy::{
    self,
    DataCopy, //
};

/// How much is copied between two looks for a signal, in bytes.
const CHUNK: i64 = 1 << 20;

impl CopyUp<'_> {
    /// Copies the data to `to`, by sharing it if the file system can, and syncs it.
    pub(super) fn copy_data(&self, to: &File) -> Result {
        let len = self.stat.size();
        if len == 0 {
            return Ok(());
        }
        let from = self.inode.data_path()?.open(self.m, false)?;
        let copy = DataCopy::new(self.m, &from, to);
        // Shared data needs no sync, the file system does that with the metadata.
        if copy.share(len).is_ok_and(|shared| shared == len) {
            return Ok(());
        }
        copy.verify(len)?;
        copy_chunks(&copy, len)?;
        // With the metadata if that is synced.
        if self.ofs.config.should_sync() && !self.syncs_metadata() {
            copy::sync(self.m, to)?;
        }
        Ok(())
    }
}

/// Copies the first `len` bytes, keeping holes where the source tells of them.
///
/// Returns `EINTR` where the task is about to be killed.
fn copy_chunks(copy: &DataCopy<'_>, len: i64) -> Result {
    let mut seeks = copy.can_seek();
    let mut pos = 0;
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
    }
    Ok(())
}
