// SPDX-License-Identifier: GPL-2.0

//! Reading and writing, synchronous or not.

use crate::{
    file::{
        start_writing,
        RegularFile, //
    },
    object::entry::InodeExt,
    Rovl, //
};
use kernel::{
    bindings,
    prelude::*, //
};
use vfs::file::{
    File,
    IovIterDest,
    IovIterSource,
    Kiocb, //
};

/// Reads. Takes no lock.
#[inline]
pub(super) fn read_iter(
    this: &RegularFile,
    iocb: Kiocb<'_, Rovl>,
    iter: IovIterDest<'_>,
) -> Result<usize> {
    if iter.is_empty() {
        return Ok(0);
    }
    let file = iocb.file();
    let mounter = &file.inode().ofs().mounter;
    this.real_file(file)?
        .read_iter::<RegularFile>(mounter, iocb, iter)
}

/// Writes, under the inode's lock.
#[inline]
pub(super) fn write_iter(
    this: &RegularFile,
    iocb: Kiocb<'_, Rovl>,
    iter: IovIterSource<'_>,
) -> Result<usize> {
    if iter.is_empty() {
        return Ok(0);
    }
    let file = iocb.file();
    let inode = file.inode();
    let ofs = inode.ofs();
    let _layers = start_writing(file)?;
    let lock = inode.lock_rwsem();
    // Whether the write takes away privileges depends on the mode.
    inode.copy_attr_from_real();
    let real = this.real_file(file)?;
    let iocb = if ofs.config.should_sync() {
        iocb
    } else {
        iocb.without_sync()
    };
    real.write_iter::<RegularFile>(&ofs.mounter, &lock, iocb, iter)
}

/// Shows the times of the upper file, and updates its access time.
///
/// A lower file keeps its access time.
#[inline]
pub(super) fn accessed(file: &File<Rovl>) {
    if file.flags() & bindings::O_NOATIME != 0 {
        return;
    }
    let inode = file.inode();
    if let Some(upper) = inode.upper_inode() {
        inode.copy_times(upper);
        file.path().touch_atime();
    }
}
