// SPDX-License-Identifier: GPL-2.0

//! Reading, writing, splicing and mapping of files through their own page cache.

use super::Operations;
use crate::{
    bindings,
    file::{
        check_pos,
        count_result,
        offset_result,
        File,
        IovIterDest,
        IovIterSource,
        Kiocb,
        NewVma,
        PipeDest,
        PipeSource, //
    },
    inode::Inode,
    FileSystem, //
};
use core::ptr;
use kernel::prelude::*;

impl<F: FileSystem> Inode<F> {
    /// The operations of its page cache.
    fn page_operations(&self) -> *const bindings::address_space_operations {
        // SAFETY: Valid by the type invariant; both are constant once the inode is published.
        unsafe { (*(*self.as_raw()).i_mapping).a_ops }
    }

    /// Returns `EINVAL` where data is not kept in the page cache of this inode, for which the
    /// functions of C have no check.
    fn check_page_cache(&self) -> Result {
        // SAFETY: There are always operations, which are constant.
        let ops = unsafe { &*self.page_operations() };
        if ops.read_folio.is_some() && ops.write_begin.is_some() {
            Ok(())
        } else {
            Err(EINVAL)
        }
    }
}

impl<F: FileSystem> Kiocb<'_, F> {
    /// As [`Inode::check_page_cache`]; `EINVAL` also for direct I/O, which goes past the page cache by an
    /// operation that is not there.
    fn check_page_cache(&self) -> Result {
        // CAST: a flag bit.
        if self.flags() & bindings::rvfs_const_RVFS_IOCB_DIRECT as c_int != 0 {
            return Err(EINVAL);
        }
        self.file().inode().check_page_cache()
    }

    /// Reads from the page cache (`generic_file_read_iter()`). Returns the number of bytes.
    ///
    /// `EINVAL` where the inode has none of its own.
    pub fn read_page_cache(self, iter: IovIterDest<'_>) -> Result<usize> {
        self.check_page_cache()?;
        let start = |iocb| {
            // SAFETY: Both are valid by their type invariants and given up; pages can be read.
            unsafe { bindings::generic_file_read_iter(iocb, iter.into_raw()) }
        };
        // SAFETY: The page cache completes what it queues.
        unsafe { self.start(start) }
    }

    /// Writes to the page cache, with the inode locked meanwhile (`generic_file_write_iter()`), and
    /// sets the times of the file. Returns the number of bytes.
    ///
    /// `EINVAL` where the inode has none of its own.
    pub fn write_page_cache(self, iter: IovIterSource<'_>) -> Result<usize> {
        self.check_page_cache()?;
        let start = |iocb| {
            // SAFETY: Both are valid by their type invariants and given up; pages can be written.
            unsafe { bindings::generic_file_write_iter(iocb, iter.into_raw()) }
        };
        // SAFETY: The page cache completes what it queues.
        unsafe { self.start(start) }
    }
}

impl<F: FileSystem> File<F> {
    /// Splices `len` bytes of the page cache from `pos` on into `pipe` (`filemap_splice_read()`),
    /// and moves `pos`. Returns the number of bytes.
    ///
    /// `EINVAL` where the inode has none of its own, and for a position before the start.
    pub fn splice_page_cache(
        &self,
        pos: &mut i64,
        pipe: PipeDest<'_>,
        len: usize,
        flags: u32,
    ) -> Result<usize> {
        check_pos(*pos)?;
        self.inode().check_page_cache()?;
        // SAFETY: All are valid by their type invariants; pages can be read.
        count_result(unsafe {
            bindings::filemap_splice_read(self.as_raw(), pos, pipe.as_raw(), len, flags)
        })
    }

    /// Writes `len` bytes from `pipe` to `pos` with the file's own `write_iter`
    /// (`iter_file_splice_write()`), and moves `pos`. Returns the number of bytes.
    ///
    /// `EINVAL` where the file has no such operation, and for a position before its start.
    pub fn splice_by_write(
        &self,
        pipe: PipeSource<'_>,
        pos: &mut i64,
        len: usize,
        flags: u32,
    ) -> Result<usize> {
        check_pos(*pos)?;
        // SAFETY: An open file has operations, which are constant.
        if unsafe { (*(*self.as_raw()).f_op).write_iter.is_none() } {
            return Err(EINVAL);
        }
        // SAFETY: All are valid by their type invariants.
        count_result(unsafe {
            bindings::iter_file_splice_write(pipe.as_raw(), self.as_raw(), pos, len, flags)
        })
    }

    /// Moves the position within the size of the inode (`generic_file_llseek()`), and returns it.
    pub fn generic_llseek(&self, offset: i64, whence: i32) -> Result<i64> {
        // SAFETY: Valid by the type invariant.
        offset_result(unsafe { bindings::generic_file_llseek(self.as_raw(), offset, whence) })
    }
}

impl<F: FileSystem> NewVma<'_, F> {
    /// Shows the page cache of the file, for whose pages `T` gives room.
    ///
    /// `EINVAL` where the page cache of the file has not the operations `T`.
    pub fn show_page_cache<T: Operations<FileSystem = F>>(self) -> Result {
        // SAFETY: Valid by the type invariant; the area's file is open.
        let file = unsafe { File::<F>::from_raw((*self.as_raw()).vm_file) };
        if !ptr::eq(file.inode().page_operations(), T::TABLE.as_raw()) {
            return Err(EINVAL);
        }
        file.path().touch_atime();
        // SAFETY: Valid by the type invariant, and not visible yet.
        unsafe { (*self.as_raw()).vm_ops = &raw const T::TABLE.vm };
        Ok(())
    }
}
