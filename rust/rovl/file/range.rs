// SPDX-License-Identifier: GPL-2.0

//! Operations on ranges of regular files: sync, allocation, copies and shared extents.

use crate::{
    file::{
        start_writing,
        RegularFile, //
    },
    object::{
        entry::{
            InodeExt,
            Real, //
        },
        live::is_own,
        reason, //
    },
    Rovl, //
};
use core::ptr;
use kernel::{
    bindings,
    prelude::*, //
};
use stacking::{
    backing_file::BackingFile,
    cred::AsMounter,
    path::LayerPath,
    prelude::*, //
};
use vfs::{
    file::{
        File,
        FilePos, //
    },
    inode::Inode, //
};

/// Syncs the upper file.
///
/// A lower file is not synced: it has not been changed, and could answer `EROFS`.
pub(super) fn fsync(
    this: &RegularFile,
    file: &File<Rovl>,
    start: i64,
    end: i64,
    datasync: bool,
) -> Result {
    let inode = file.inode();
    let ofs = inode.ofs();
    if !ofs.needs_sync()? {
        return Ok(());
    }
    let real = inode.real();
    let Some(upper) = own_path(inode, &real) else {
        return Ok(());
    };
    if datasync && real.path_type().merge {
        return Ok(());
    }
    let real_file = this.real_file_at(file, upper)?;
    ofs.as_mounter(|as_mounter| real_file.fsync(as_mounter, start, end, datasync))
}

/// The path that was written through this mount: in the upper layer, or in one that was the upper one.
fn own_path<'a>(inode: &Inode<Rovl>, real: &Real<'a>) -> Option<LayerPath<'a>> {
    match real.upper_path() {
        None => {
            let first = real.lower().first()?;
            real.lower_path().filter(|_| is_own(inode, first.layer()))
        }
        upper => upper,
    }
}

/// Allocates or frees space.
pub(super) fn fallocate(
    this: &RegularFile,
    file: &File<Rovl>,
    mode: i32,
    offset: i64,
    len: i64,
) -> Result {
    let inode = file.inode();
    let _layers = start_writing(file)?;
    let lock = inode.lock_rwsem();
    inode.copy_attr_from_real();
    file.remove_privs(&lock)?;
    let real = this.real_file(file)?;
    let ret = inode
        .ofs()
        .as_mounter(|as_mounter| real.fallocate(as_mounter, mode, offset, len));
    // Also after an error: some of it may have been done.
    inode.copy_attr_from_real();
    ret
}

/// Copies `len` bytes.
pub(super) fn copy(
    src: &FilePos<'_, RegularFile>,
    dst: &FilePos<'_, RegularFile>,
    len: usize,
    flags: u32,
) -> Result<usize> {
    let (src_inode, dst_inode) = (src.file.inode(), dst.file.inode());
    transfer(src, dst, Change::Written, |as_mounter, from, to| {
        if !ptr::eq(src_inode.sb(), dst_inode.sb()) {
            // The copy checks with the credentials of the destination's mounter.
            src_inode
                .ofs()
                .as_mounter(|as_source| from.verify_read(as_source, src.pos, len))?;
        }
        from.copy_to(as_mounter, src.pos, to, dst.pos, len, flags)
    })
}

/// Makes `len` bytes shared: those of `src` appear in `dst`, or equal ones in both become one.
pub(super) fn remap(
    src: &FilePos<'_, RegularFile>,
    dst: &FilePos<'_, RegularFile>,
    len: i64,
    flags: u32,
) -> Result<i64> {
    if flags & !(bindings::REMAP_FILE_DEDUP | bindings::REMAP_FILE_ADVISORY) != 0 {
        return Err(reason::REMAP_FLAGS);
    }
    if flags & bindings::REMAP_FILE_DEDUP == 0 {
        return transfer(src, dst, Change::Written, |as_mounter, from, to| {
            from.clone_to(as_mounter, src.pos, to, dst.pos, len, flags)
        });
    }
    let _layers = dst.file.inode().ofs().start_writing();
    // Copying up would make two of what is one.
    if src.file.inode().upper().is_none() || dst.file.inode().upper().is_none() {
        return Err(reason::DEDUPE_LOWER);
    }
    transfer(src, dst, Change::None, |as_mounter, from, to| {
        from.dedupe_to(as_mounter, src.pos, to, dst.pos, len, flags)
    })
}

/// What a transfer does to the content of the destination.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Change {
    /// It is written.
    Written,
    /// It stays what it is.
    None,
}

/// Runs `op` on the files of the layers, as the mounter of the destination.
fn transfer<R>(
    src: &FilePos<'_, RegularFile>,
    dst: &FilePos<'_, RegularFile>,
    change: Change,
    op: impl FnOnce(&AsMounter, &BackingFile, &BackingFile) -> Result<R>,
) -> Result<R> {
    let inode = dst.file.inode();
    let _layers = match change {
        Change::Written => start_writing(dst.file)?,
        Change::None => None,
    };
    let lock = inode.lock_rwsem();
    if change == Change::Written {
        inode.copy_attr_from_real();
        dst.file.remove_privs(&lock)?;
    }
    let to = dst.private.real_file(dst.file)?;
    let from = src.private.real_file(src.file)?;
    let ret = inode
        .ofs()
        .as_mounter(|as_mounter| op(as_mounter, from, to));
    inode.copy_attr_from_real();
    ret
}
