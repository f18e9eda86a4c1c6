// SPDX-License-Identifier: GPL-2.0

//! Reading, writing, splicing and mapping of backing files.
//!
//! The functions of C put the mounter's credentials in force themselves, and call back with the
//! file of the user under the caller's.

use super::BackingFile;
use crate::cred::Mounter;
use core::marker::PhantomData;
use kernel::{
    prelude::*,
    types::Opaque, //
};
use vfs::{
    bindings,
    errno::to_result,
    file::{
        check_pos,
        count_result,
        File,
        IovIterDest,
        IovIterSource,
        Kiocb,
        NewVma,
        PipeDest,
        PipeSource, //
    },
    inode::InodeLock,
    FileSystem, //
};

/// What the file system above does when data of a backing file has been transferred.
pub trait Callbacks {
    /// Whose files are backed.
    type FileSystem: FileSystem;

    /// Data has been read through `file`, or `file` was mapped.
    fn accessed(file: &File<Self::FileSystem>);

    /// Data has been written through `file`.
    ///
    /// Is called by another task, and without the lock of the inode, at the end of an asynchronous
    /// write.
    fn end_write(file: &File<Self::FileSystem>);
}

/// The callbacks of `C` as C calls them.
struct Context<C: Callbacks>(PhantomData<C>);

impl<C: Callbacks> Context<C> {
    /// # Safety
    ///
    /// To be called by the functions for backing files, with a file of `C::FileSystem`.
    unsafe extern "C" fn accessed_callback(file: *mut bindings::file) {
        // SAFETY: By the safety requirements.
        C::accessed(unsafe { File::from_raw(file) });
    }

    /// # Safety
    ///
    /// To be called by the functions for backing files, with a request for a file of
    /// `C::FileSystem`.
    unsafe extern "C" fn end_write_callback(iocb: *mut bindings::kiocb, _ret: isize) {
        // SAFETY: By the safety requirements.
        C::end_write(unsafe { File::from_raw((*iocb).ki_filp) });
    }

    #[inline]
    fn reading(mounter: &Mounter) -> bindings::backing_file_ctx {
        bindings::backing_file_ctx {
            cred: mounter.as_raw(),
            accessed: Some(Self::accessed_callback),
            end_write: None,
        }
    }

    #[inline]
    fn writing(mounter: &Mounter) -> bindings::backing_file_ctx {
        bindings::backing_file_ctx {
            cred: mounter.as_raw(),
            accessed: None,
            end_write: Some(Self::end_write_callback),
        }
    }
}

impl BackingFile {
    /// Reads, as `iocb` asks for (`backing_file_read_iter()`). Returns the number of bytes.
    #[inline]
    pub fn read_iter<C: Callbacks>(
        &self,
        mounter: &Mounter,
        iocb: Kiocb<'_, C::FileSystem>,
        iter: IovIterDest<'_>,
    ) -> Result<usize> {
        let flags = iocb.flags();
        let mut ctx = Context::<C>::reading(mounter);
        let start = |iocb| {
            // SAFETY: By the type invariants of all; the request is given up, and its file is one of
            // the file system whose callback is passed. The context is not used after the call.
            unsafe {
                bindings::backing_file_read_iter(
                    self.as_raw(),
                    iter.into_raw(),
                    iocb,
                    flags,
                    &mut ctx,
                )
            }
        };
        // SAFETY: Its completion is that of the backing file's request.
        unsafe { iocb.start(start) }
    }

    /// Writes, as `iocb` asks for (`backing_file_write_iter()`). Takes away what a
    /// write takes away from the user's file. Returns the number of bytes.
    ///
    /// `EINVAL` where `lock` is not that of the inode of the user's file.
    #[inline]
    pub fn write_iter<C: Callbacks>(
        &self,
        mounter: &Mounter,
        lock: &InodeLock<'_, C::FileSystem>,
        iocb: Kiocb<'_, C::FileSystem>,
        iter: IovIterSource<'_>,
    ) -> Result<usize> {
        check_lock(lock, iocb.file())?;
        let flags = iocb.flags();
        let mut ctx = Context::<C>::writing(mounter);
        let start = |iocb| {
            // SAFETY: As for `read_iter`, and the inode is locked; of the context only the callback is used
            // after the call.
            unsafe {
                bindings::backing_file_write_iter(
                    self.as_raw(),
                    iter.into_raw(),
                    iocb,
                    flags,
                    &mut ctx,
                )
            }
        };
        // SAFETY: Its completion is that of the backing file's request.
        unsafe { iocb.start(start) }
    }

    /// Splices `len` bytes from `pos` on into `pipe` (`backing_file_splice_read()`), for
    /// `user_file`, and moves `pos`. Returns the number of bytes.
    ///
    /// `EINVAL` for a position before the start.
    pub fn splice_read<C: Callbacks>(
        &self,
        mounter: &Mounter,
        user_file: &File<C::FileSystem>,
        pos: &mut i64,
        pipe: PipeDest<'_>,
        len: usize,
        flags: u32,
    ) -> Result<usize> {
        check_pos(*pos)?;
        let mut ctx = Context::<C>::reading(mounter);
        count_result(with_sync_kiocb(user_file, pos, |iocb| {
            // SAFETY: By the type invariants of all; the request is valid during the call.
            unsafe {
                bindings::backing_file_splice_read(
                    self.as_raw(),
                    iocb,
                    pipe.as_raw(),
                    len,
                    flags,
                    &mut ctx,
                )
            }
        }))
    }

    /// Splices `len` bytes from `pipe` to `pos` (`backing_file_splice_write()`), for `user_file`,
    /// and moves `pos`. Returns the number of bytes.
    ///
    /// `EINVAL` where `lock` is not that of the inode of the user's file, and for a position before the
    /// start; `EBADF` where this file is not open for writing.
    pub fn splice_write<C: Callbacks>(
        &self,
        mounter: &Mounter,
        (lock, user_file): (&InodeLock<'_, C::FileSystem>, &File<C::FileSystem>),
        pos: &mut i64,
        pipe: PipeSource<'_>,
        len: usize,
        flags: u32,
    ) -> Result<usize> {
        check_lock(lock, user_file)?;
        check_pos(*pos)?;
        if !self.is_writable() {
            return Err(EBADF);
        }
        let mut ctx = Context::<C>::writing(mounter);
        count_result(with_sync_kiocb(user_file, pos, |iocb| {
            // SAFETY: By the type invariants of all; the request is valid during the call.
            unsafe {
                bindings::backing_file_splice_write(
                    pipe.as_raw(),
                    self.as_raw(),
                    iocb,
                    len,
                    flags,
                    &mut ctx,
                )
            }
        }))
    }

    /// Whether it is open for writing. Where users write, the VFS has asked that of their file only.
    fn is_writable(&self) -> bool {
        // SAFETY: Valid by the type invariant; constant while the file is open.
        let mode = unsafe { (*self.as_raw()).f_mode };
        mode & bindings::rvfs_const_RVFS_FMODE_WRITE != 0
    }

    /// Counts a shared and writable mapping of this file, which is going to be made for `file`, until the task
    /// returns to user space, so that whoever looks in between sees it
    /// ([`is_mapped_writable`](vfs::inode::Inode::is_mapped_writable)).
    ///
    /// Returns `EPERM` where there must be no such mapping,
    /// `ENOMEM`, and `ESRCH` for a task that ends.
    pub fn count_mapping<F: FileSystem>(&self, file: &File<F>) -> Result {
        // SAFETY: Both are valid by their type invariants.
        to_result(unsafe { bindings::rvfs_count_mapping(self.as_raw(), file.as_raw()) })
    }

    /// Makes `vma` show this file (`backing_file_mmap()`).
    ///
    /// `EACCES` where the file could be written through `vma`, and is not open for writing.
    pub fn mmap<C: Callbacks>(&self, mounter: &Mounter, vma: NewVma<'_, C::FileSystem>) -> Result {
        // SAFETY: Valid by the type invariant.
        if unsafe { bindings::rvfs_vma_may_write_file(vma.as_raw()) } && !self.is_writable() {
            return Err(EACCES);
        }
        let mut ctx = Context::<C>::reading(mounter);
        // SAFETY: By the type invariants; the area's file is one of the file system whose callback
        // is passed, and the area is given up.
        to_result(unsafe { bindings::backing_file_mmap(self.as_raw(), vma.as_raw(), &mut ctx) })
    }
}

/// Refuses the lock of another inode than that of `file`.
#[inline]
fn check_lock<F: FileSystem>(lock: &InodeLock<'_, F>, file: &File<F>) -> Result {
    if lock.inode().is(file.inode()) {
        Ok(())
    } else {
        Err(EINVAL)
    }
}

/// Runs `f` with a synchronous request for `file` at `pos`, and moves `pos` to where it ended.
fn with_sync_kiocb<F: FileSystem>(
    file: &File<F>,
    pos: &mut i64,
    f: impl FnOnce(*mut bindings::kiocb) -> isize,
) -> isize {
    let iocb = Opaque::<bindings::kiocb>::uninit();
    // SAFETY: Writes to a local variable; the file is valid.
    unsafe { bindings::rvfs_init_sync_kiocb(iocb.get(), file.as_raw(), *pos) };
    let ret = f(iocb.get());
    // SAFETY: Initialised above; a synchronous request has ended.
    *pos = unsafe { (*iocb.get()).ki_pos };
    ret
}
