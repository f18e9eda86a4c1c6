// SPDX-License-Identifier: GPL-2.0

//! The callbacks of `struct file_operations` that concern the data of a file.

use super::{
    super::{
        io::{
            from_count,
            from_offset,
            from_request,
            FlOwner,
            IovIterDest,
            IovIterSource,
            Kiocb,
            NewVma,
            PipeDest,
            PipeSource, //
        },
        File, //
    },
    Operations,
    Private,
    Table, //
};
use crate::{
    bindings,
    errno::from_result, //
};
use core::cell::Cell;
use kernel::prelude::*;

/// A position in an open file: the source or the destination of an operation that moves data between
/// files (`file_in` and `pos_in`, `file_out` and `pos_out`).
pub struct FilePos<'a, T: Operations> {
    /// The private data of the open file.
    pub private: Private<'a, T>,
    /// The file.
    pub file: &'a File<T::FileSystem>,
    /// The position at which the range begins.
    pub pos: i64,
}

impl<T: Operations> Table<T> {
    /// The source and the destination of an operation.
    ///
    /// Returns `EXDEV` where one of them has not these operations. The VFS calls the operations of one
    /// of the two: for `->copy_file_range` those of the destination, for `->remap_file_range` those of
    /// the source. Of the other it only knows that it is a regular file of the same super block, or
    /// that its file system has the same operation.
    ///
    /// # Safety
    ///
    /// Both must be open files, valid for `'a`.
    unsafe fn both_positions<'a>(
        src: (*mut bindings::file, i64),
        dst: (*mut bindings::file, i64),
    ) -> Result<(FilePos<'a, T>, FilePos<'a, T>)> {
        // SAFETY: By the safety requirements.
        let src = unsafe { Self::position(src.0, src.1) }?;
        // SAFETY: By the safety requirements.
        Ok((src, unsafe { Self::position(dst.0, dst.1) }?))
    }

    /// `file` at `pos`. Returns `EXDEV` where it has not these operations.
    ///
    /// # Safety
    ///
    /// `file` must be an open file, valid for `'a`.
    unsafe fn position<'a>(file: *mut bindings::file, pos: i64) -> Result<FilePos<'a, T>> {
        // SAFETY: By the safety requirements; constant while the file is open.
        let operations = unsafe { (*file).f_op };
        if !T::TABLE.is(operations) {
            return Err(EXDEV);
        }
        Ok(FilePos {
            // SAFETY: An open file, which has these operations.
            private: unsafe { Self::private(file) },
            // SAFETY: These operations are those of files of `T::FileSystem`.
            file: unsafe { File::from_raw(file) },
            pos,
        })
    }

    /// # Safety
    ///
    /// See [`Self::open_callback`].
    pub(super) unsafe extern "C" fn read_iter_callback(
        iocb: *mut bindings::kiocb,
        iter: *mut bindings::iov_iter,
    ) -> isize {
        let queued = Cell::new(false);
        // SAFETY: By the safety requirements.
        let (iocb, iter) = unsafe { (Kiocb::from_raw(iocb, &queued), IovIterDest::from_raw(iter)) };
        // SAFETY: By the safety requirements.
        let private = unsafe { Self::private(iocb.file().as_raw()) };
        let max = iter.len();
        from_request(T::read_iter(private, iocb, iter), &queued, max)
    }

    /// # Safety
    ///
    /// See [`Self::open_callback`].
    pub(super) unsafe extern "C" fn write_iter_callback(
        iocb: *mut bindings::kiocb,
        iter: *mut bindings::iov_iter,
    ) -> isize {
        let queued = Cell::new(false);
        // SAFETY: By the safety requirements.
        let (iocb, iter) = unsafe {
            (
                Kiocb::from_raw(iocb, &queued),
                IovIterSource::from_raw(iter),
            )
        };
        // SAFETY: By the safety requirements.
        let private = unsafe { Self::private(iocb.file().as_raw()) };
        let max = iter.len();
        from_request(T::write_iter(private, iocb, iter), &queued, max)
    }

    /// # Safety
    ///
    /// See [`Self::open_callback`].
    pub(super) unsafe extern "C" fn splice_read_callback(
        file: *mut bindings::file,
        pos: *mut bindings::loff_t,
        pipe: *mut bindings::pipe_inode_info,
        len: usize,
        flags: c_uint,
    ) -> isize {
        // SAFETY: By the safety requirements.
        let (this, private) = unsafe { (File::from_raw(file), Self::private(file)) };
        // SAFETY: By the safety requirements; the position is the caller's.
        let (pos, pipe) = unsafe { (&mut *pos, PipeDest::from_raw(pipe)) };
        from_count(T::splice_read(private, this, pos, pipe, len, flags), len)
    }

    /// # Safety
    ///
    /// See [`Self::open_callback`].
    pub(super) unsafe extern "C" fn splice_write_callback(
        pipe: *mut bindings::pipe_inode_info,
        file: *mut bindings::file,
        pos: *mut bindings::loff_t,
        len: usize,
        flags: c_uint,
    ) -> isize {
        // SAFETY: By the safety requirements.
        let (this, private) = unsafe { (File::from_raw(file), Self::private(file)) };
        // SAFETY: By the safety requirements; the position is the caller's.
        let (pos, pipe) = unsafe { (&mut *pos, PipeSource::from_raw(pipe)) };
        from_count(T::splice_write(private, this, pipe, pos, len, flags), len)
    }

    /// # Safety
    ///
    /// See [`Self::open_callback`].
    pub(super) unsafe extern "C" fn mmap_callback(
        file: *mut bindings::file,
        vma: *mut bindings::vm_area_struct,
    ) -> c_int {
        // SAFETY: By the safety requirements.
        let (this, private) = unsafe { (File::from_raw(file), Self::private(file)) };
        // SAFETY: By the safety requirements; the area was made for this file.
        let vma = unsafe { NewVma::from_raw(vma) };
        from_result(|| T::mmap(private, this, vma).map(|()| 0))
    }

    /// # Safety
    ///
    /// See [`Self::open_callback`].
    pub(super) unsafe extern "C" fn fallocate_callback(
        file: *mut bindings::file,
        mode: c_int,
        offset: bindings::loff_t,
        len: bindings::loff_t,
    ) -> c_long {
        // SAFETY: By the safety requirements.
        let (this, private) = unsafe { (File::from_raw(file), Self::private(file)) };
        from_result(|| T::fallocate(private, this, mode, offset, len).map(|()| 0))
    }

    /// # Safety
    ///
    /// See [`Self::open_callback`].
    pub(super) unsafe extern "C" fn fadvise_callback(
        file: *mut bindings::file,
        offset: bindings::loff_t,
        len: bindings::loff_t,
        advice: c_int,
    ) -> c_int {
        // SAFETY: By the safety requirements.
        let (this, private) = unsafe { (File::from_raw(file), Self::private(file)) };
        from_result(|| T::fadvise(private, this, offset, len, advice).map(|()| 0))
    }

    /// # Safety
    ///
    /// See [`Self::open_callback`].
    pub(super) unsafe extern "C" fn flush_callback(
        file: *mut bindings::file,
        id: bindings::fl_owner_t,
    ) -> c_int {
        // SAFETY: By the safety requirements.
        let (this, private) = unsafe { (File::from_raw(file), Self::private(file)) };
        from_result(|| T::flush(private, this, FlOwner(id)).map(|()| 0))
    }

    /// # Safety
    ///
    /// See [`Self::open_callback`]; but `src` may be any open file.
    pub(super) unsafe extern "C" fn copy_file_range_callback(
        src: *mut bindings::file,
        src_pos: bindings::loff_t,
        dst: *mut bindings::file,
        dst_pos: bindings::loff_t,
        len: usize,
        flags: c_uint,
    ) -> isize {
        // SAFETY: By the safety requirements.
        let ends = unsafe { Self::both_positions((src, src_pos), (dst, dst_pos)) };
        let copied = ends.and_then(|(src, dst)| T::copy_file_range(src, dst, len, flags));
        from_count(copied, len)
    }

    /// # Safety
    ///
    /// See [`Self::open_callback`]; but `dst` may be any open file.
    pub(super) unsafe extern "C" fn remap_file_range_callback(
        src: *mut bindings::file,
        src_pos: bindings::loff_t,
        dst: *mut bindings::file,
        dst_pos: bindings::loff_t,
        len: bindings::loff_t,
        flags: c_uint,
    ) -> bindings::loff_t {
        // SAFETY: By the safety requirements.
        let ends = unsafe { Self::both_positions((src, src_pos), (dst, dst_pos)) };
        from_offset(ends.and_then(|(src, dst)| T::remap_file_range(src, dst, len, flags)))
    }
}
