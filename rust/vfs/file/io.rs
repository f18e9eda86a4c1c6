// SPDX-License-Identifier: GPL-2.0

//! What the VFS hands to operations on the data of a file, to be passed on to a layer.
//!
//! C headers: [`include/linux/fs.h`](srctree/include/linux/fs.h),
//! [`include/linux/uio.h`](srctree/include/linux/uio.h)
//!
//! These types are passed by value: who starts an asynchronous request gives up its [`Kiocb`],
//! which another task may complete and free before the call that started it has returned.

use super::File;
use crate::{
    bindings,
    errno::{to_result, WithReason},
    FileSystem,
    Of, //
};
use core::{
    cell::Cell,
    marker::PhantomData,
    ops::{
        Deref,
        DerefMut, //
    },
};
use kernel::{
    iov,
    mm::virt::VmaNew,
    prelude::*, //
};

/// A request to read or write a file of `F`, `struct kiocb`.
///
/// That of the kernel crate, [`kernel::fs::Kiocb`], says what the private data of the file is, which a
/// device can have as well; this one says whose file it is. It is used up by who starts it, and how it
/// is to be done can be changed before that. That it goes on after the operation (`EIOCBQUEUED`) is noted
/// where it was started: what the operation returns then does not matter, since the VFS would complete a
/// second time what somebody else completes.
///
/// # Invariants
///
/// `raw` is valid as long as this object exists, and its file is one of `F`, open for `'a`. `flags` are
/// those that it came with, or fewer. `queued` tells whether somebody else completes it.
pub struct Kiocb<'a, F> {
    raw: *mut bindings::kiocb,
    flags: c_int,
    queued: &'a Cell<bool>,
    _life: PhantomData<&'a ()>,
    _of: Of<F>,
}

impl<'a, F: FileSystem> Kiocb<'a, F> {
    /// Makes one from a raw pointer.
    ///
    /// # Safety
    ///
    /// The type invariant must hold.
    #[inline]
    pub unsafe fn from_raw(raw: *mut bindings::kiocb, queued: &'a Cell<bool>) -> Self {
        // INVARIANT: By the safety requirements.
        Self {
            raw,
            queued,
            // SAFETY: Valid, and nobody else uses the request before it is started.
            flags: unsafe { (*raw).ki_flags },
            _life: PhantomData,
            _of: PhantomData,
        }
    }

    /// The file.
    #[inline]
    pub fn file(&self) -> &'a File<F> {
        // SAFETY: By the type invariant.
        unsafe { File::from_raw((*self.raw).ki_filp) }
    }

    /// How it is to be done (`IOCB_*`).
    #[inline]
    pub fn flags(&self) -> c_int {
        self.flags
    }

    /// Starts it with `start`, a function of C that may return `-EIOCBQUEUED`, and returns its result. The
    /// request is given up.
    ///
    /// # Safety
    ///
    /// Where `start` returns `-EIOCBQUEUED` somebody completes the request.
    #[inline]
    pub unsafe fn start(self, start: impl FnOnce(*mut bindings::kiocb) -> isize) -> Result<usize> {
        let ret = start(self.raw);
        if ret == EIOCBQUEUED.to_errno() as isize {
            // INVARIANT: Whoever has it now completes it.
            self.queued.set(true);
        }
        count_result(ret)
    }

    /// The same in a file of a layer without the wish that data or metadata be on disk at the end
    /// (`IOCB_DSYNC`, `IOCB_SYNC`).
    #[inline]
    pub fn without_sync(self) -> Self {
        const SYNC: u32 =
            bindings::rvfs_const_RVFS_IOCB_DSYNC | bindings::rvfs_const_RVFS_IOCB_SYNC;
        // INVARIANT: Fewer flags. CAST: flag bits.
        Self {
            flags: self.flags & !(SYNC as c_int),
            ..self
        }
    }
}

/// The direction of data that goes to the caller of a read. It has no values.
pub enum Dest {}

/// The direction of data that comes from the caller of a write. It has no values.
pub enum Source {}

/// Where the data of a read goes to, `struct iov_iter`.
///
/// That of the kernel crate, to which it leads, is a reference that outlives the request. This one is
/// passed by value, like the request that it belongs to, after whose end it is gone.
pub struct IovIterDest<'a>(&'a mut iov::IovIterDest<'a>);

impl IovIterDest<'_> {
    /// Makes one from a raw pointer.
    ///
    /// # Safety
    ///
    /// `raw` must be valid, of this direction (`iov_iter_rw()`), and used by nobody else as long as
    /// this object exists.
    #[inline]
    pub unsafe fn from_raw(raw: *mut bindings::iov_iter) -> Self {
        // SAFETY: By the safety requirements; the type is transparent.
        Self(unsafe { &mut *raw.cast() })
    }

    /// The raw pointer, to be given up.
    #[inline]
    pub fn into_raw(self) -> *mut bindings::iov_iter {
        self.0.as_raw().cast()
    }
}

impl<'a> Deref for IovIterDest<'a> {
    type Target = iov::IovIterDest<'a>;

    #[inline]
    fn deref(&self) -> &iov::IovIterDest<'a> {
        self.0
    }
}

impl<'a> DerefMut for IovIterDest<'a> {
    #[inline]
    fn deref_mut(&mut self) -> &mut iov::IovIterDest<'a> {
        self.0
    }
}

/// Where the data of a write comes from, `struct iov_iter`.
///
/// That of the kernel crate, to which it leads, is a reference that outlives the request. This one is
/// passed by value, like the request that it belongs to, after whose end it is gone.
pub struct IovIterSource<'a>(&'a mut iov::IovIterSource<'a>);

impl IovIterSource<'_> {
    /// Makes one from a raw pointer.
    ///
    /// # Safety
    ///
    /// `raw` must be valid, of this direction (`iov_iter_rw()`), and used by nobody else as long as
    /// this object exists.
    #[inline]
    pub unsafe fn from_raw(raw: *mut bindings::iov_iter) -> Self {
        // SAFETY: By the safety requirements; the type is transparent.
        Self(unsafe { &mut *raw.cast() })
    }

    /// The raw pointer, to be given up.
    #[inline]
    pub fn into_raw(self) -> *mut bindings::iov_iter {
        self.0.as_raw().cast()
    }
}

impl<'a> Deref for IovIterSource<'a> {
    type Target = iov::IovIterSource<'a>;

    #[inline]
    fn deref(&self) -> &iov::IovIterSource<'a> {
        self.0
    }
}

impl<'a> DerefMut for IovIterSource<'a> {
    #[inline]
    fn deref_mut(&mut self) -> &mut iov::IovIterSource<'a> {
        self.0
    }
}

/// A pipe that data is spliced from or to, `struct pipe_inode_info`.
///
/// # Invariants
///
/// `raw` is valid for `'a`. One that data goes to, [`Dest`], is locked by the caller or known to
/// nobody else, and one that data comes from, [`Source`], is not locked by this task: that is for
/// who takes the data to do.
pub struct Pipe<'a, D> {
    raw: *mut bindings::pipe_inode_info,
    _life: PhantomData<&'a ()>,
    _direction: PhantomData<D>,
}

/// A pipe that data is spliced to.
pub type PipeDest<'a> = Pipe<'a, Dest>;

/// A pipe that data is spliced from.
pub type PipeSource<'a> = Pipe<'a, Source>;

impl<D> Clone for Pipe<'_, D> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<D> Copy for Pipe<'_, D> {}

impl<D> Pipe<'_, D> {
    /// Makes one from a raw pointer.
    ///
    /// # Safety
    ///
    /// The type invariant must hold.
    #[inline]
    pub unsafe fn from_raw(raw: *mut bindings::pipe_inode_info) -> Self {
        // INVARIANT: By the safety requirements.
        Self {
            raw,
            _life: PhantomData,
            _direction: PhantomData,
        }
    }

    /// The raw pointer.
    #[inline]
    pub fn as_raw(self) -> *mut bindings::pipe_inode_info {
        self.raw
    }
}

/// A piece of address space that is being set up to show a file of `F`.
///
/// It is a [`VmaNew`] of which is known whose file it shows, and that can be set up once.
///
/// # Invariants
///
/// The file of the area is one of `F`.
pub struct NewVma<'a, F> {
    vma: &'a VmaNew,
    _of: Of<F>,
}

impl<F: FileSystem> NewVma<'_, F> {
    /// Whether it is, or may become, shared and writable.
    pub fn is_shared_and_writable(&self) -> bool {
        // SAFETY: Valid by the type invariant.
        unsafe { bindings::rvfs_vma_is_shared_maywrite(self.as_raw()) }
    }

    /// Makes one from a raw pointer.
    ///
    /// # Safety
    ///
    /// As for [`VmaNew::from_raw`], and the type invariant must hold.
    #[inline]
    pub unsafe fn from_raw(raw: *mut bindings::vm_area_struct) -> Self {
        // INVARIANT: By the safety requirements.
        Self {
            // SAFETY: By the safety requirements.
            vma: unsafe { VmaNew::from_raw(raw.cast()) },
            _of: PhantomData,
        }
    }

    /// The raw pointer.
    #[inline]
    pub fn as_raw(&self) -> *mut bindings::vm_area_struct {
        self.vma.as_ptr().cast()
    }
}

/// Who closes a file descriptor (`fl_owner_t`): only compared, never followed.
#[derive(Clone, Copy)]
pub struct FlOwner(pub(crate) bindings::fl_owner_t);

impl FlOwner {
    /// As C has it.
    #[inline]
    pub fn as_raw(&self) -> bindings::fl_owner_t {
        self.0
    }
}

/// Turns a count of bytes or a negative errno into a result.
#[inline]
pub fn count_result(ret: isize) -> Result<usize> {
    match usize::try_from(ret) {
        Ok(count) => Ok(count),
        // CAST: a negative value is an errno.
        Err(_) => Err(errno(ret as c_int)),
    }
}

/// Refuses a position before the start of a file with `EINVAL`, as the VFS does for what users ask. File
/// systems rely on it: a page there would stay in the page cache at the end of the inode.
#[inline]
pub fn check_pos(pos: i64) -> Result {
    if pos < 0 {
        Err(EINVAL)
    } else {
        Ok(())
    }
}

/// Turns an offset or a negative errno into a result.
#[inline]
pub fn offset_result(ret: bindings::loff_t) -> Result<i64> {
    if ret < 0 {
        // CAST: a negative value is an errno.
        Err(errno(ret as c_int))
    } else {
        Ok(ret)
    }
}

/// The error of a negative errno.
fn errno(ret: c_int) -> Error {
    to_result(ret).err().unwrap_or(EIO)
}

/// The reverse of [`count_result`], for an operation on up to `max` bytes: `EIO` for a larger count,
/// which callers would take for the length of what is in their buffer.
#[inline]
pub(super) fn from_count(result: Result<usize>, max: usize) -> isize {
    match result {
        // CAST: a count of bytes of one call is at most `MAX_RW_COUNT`.
        Ok(count) if count <= max => count as isize,
        Ok(_) => EIO.to_errno() as isize,
        Err(err) => err.class().to_errno() as isize,
    }
}

/// The reverse of [`count_result`], for an operation on a request: `EIOCBQUEUED` is what it is if the request
/// was `queued`, and `EIO` if not.
#[inline]
pub(super) fn from_request(result: Result<usize>, queued: &Cell<bool>, max: usize) -> isize {
    if queued.get() {
        return EIOCBQUEUED.to_errno() as isize;
    }
    match result {
        Err(err) if err == EIOCBQUEUED => EIO.to_errno() as isize,
        other => from_count(other, max),
    }
}

/// The reverse of [`offset_result`].
#[inline]
pub(super) fn from_offset(result: Result<i64>) -> bindings::loff_t {
    match result {
        Ok(offset) => offset,
        Err(err) => i64::from(err.class().to_errno()),
    }
}
