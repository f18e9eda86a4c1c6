// SPDX-License-Identifier: GPL-2.0

//! What the VFS hands to operations on the data of a file, to be passed on to a layer.
//!
//! C headers: [`include/linux/fs.h`](srctree/include/linux/fs.h),
//! [`include/linux/uio.h`](srctree/include/linux/uio.h)
//!
//! These types are passed by value: who starts an asynchronous request gives up its [`Kiocb`],
//! which another task may complete and free before the call that started it has returned.

use super::OwnFile;
use crate::{
    bindings,
    errno::WithReason,
    FileSystem,
    Of, //
};
use core::marker::PhantomData;
use kernel::{
    error::to_result,
    prelude::*, //
};

/// A request to read or write a file of `F`, `struct kiocb`.
///
/// # Invariants
///
/// `raw` is valid as long as this object exists, and its file is one of `F`, open for `'a`.
pub struct Kiocb<'a, F> {
    raw: *mut bindings::kiocb,
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
    pub(crate) unsafe fn from_raw(raw: *mut bindings::kiocb) -> Self {
        // INVARIANT: By the safety requirements.
        Self {
            raw,
            _life: PhantomData,
            _of: PhantomData,
        }
    }

    /// The raw pointer.
    #[inline]
    pub(crate) fn as_raw(&self) -> *mut bindings::kiocb {
        self.raw
    }

    /// The file.
    #[inline]
    pub fn file(&self) -> &'a OwnFile<F> {
        // SAFETY: By the type invariant.
        unsafe { OwnFile::from_raw((*self.raw).ki_filp) }
    }

    /// `ki_flags` (`IOCB_*`).
    #[inline]
    pub fn flags(&self) -> IocbFlags {
        // SAFETY: Valid by the type invariant; nobody else uses the request before it is started.
        IocbFlags(unsafe { (*self.raw).ki_flags })
    }
}

/// `IOCB_*`: how a request is to be done.
#[derive(Clone, Copy)]
pub struct IocbFlags(c_int);

impl IocbFlags {
    /// Without the wish that data or metadata be on disk at the end (`IOCB_DSYNC`, `IOCB_SYNC`).
    #[inline]
    pub fn without_sync(self) -> Self {
        const SYNC: u32 =
            bindings::rvfs_const_RVFS_IOCB_DSYNC | bindings::rvfs_const_RVFS_IOCB_SYNC;
        // CAST: flag bits.
        Self(self.0 & !(SYNC as c_int))
    }

    #[inline]
    pub(crate) fn as_raw(self) -> c_int {
        self.0
    }
}

/// The direction of data that goes to the caller of a read. It has no values.
pub enum Dest {}

/// The direction of data that comes from the caller of a write. It has no values.
pub enum Source {}

/// Where data comes from or goes to, `struct iov_iter`.
///
/// The kernel crate has types for both directions, too, as references. These here are passed by
/// value, like the request that they belong to, after whose end the iterator is gone.
///
/// # Invariants
///
/// `raw` is valid, and used by nobody else, as long as this object exists. Its direction
/// (`iov_iter_rw()`) is `D`: data is only written into what is [`Dest`].
pub struct IovIter<'a, D> {
    raw: *mut bindings::iov_iter,
    _life: PhantomData<&'a ()>,
    _direction: PhantomData<D>,
}

/// Where the data of a read goes to.
pub type IovIterDest<'a> = IovIter<'a, Dest>;

/// Where the data of a write comes from.
pub type IovIterSource<'a> = IovIter<'a, Source>;

impl<D> IovIter<'_, D> {
    /// Makes one from a raw pointer.
    ///
    /// # Safety
    ///
    /// The type invariant must hold.
    #[inline]
    pub(crate) unsafe fn from_raw(raw: *mut bindings::iov_iter) -> Self {
        // INVARIANT: By the safety requirements.
        Self {
            raw,
            _life: PhantomData,
            _direction: PhantomData,
        }
    }

    /// The raw pointer.
    #[inline]
    pub(crate) fn as_raw(&self) -> *mut bindings::iov_iter {
        self.raw
    }

    /// How many bytes there are to transfer (`iov_iter_count()`).
    #[inline]
    pub(super) fn count(&self) -> usize {
        // SAFETY: Valid by the type invariant.
        let vector = unsafe { &(*self.raw).__bindgen_anon_1.__bindgen_anon_1 };
        // SAFETY: Every variant of the union has the count at this place.
        unsafe { vector.as_ref() }.count
    }

    /// Whether there is nothing to transfer.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.count() == 0
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
    pub(crate) unsafe fn from_raw(raw: *mut bindings::pipe_inode_info) -> Self {
        // INVARIANT: By the safety requirements.
        Self {
            raw,
            _life: PhantomData,
            _direction: PhantomData,
        }
    }

    /// The raw pointer.
    #[inline]
    pub(crate) fn as_raw(self) -> *mut bindings::pipe_inode_info {
        self.raw
    }
}

/// A piece of address space that is being set up to show a file of `F`,
/// `struct vm_area_struct`.
///
/// # Invariants
///
/// `raw` is valid and not yet visible, as long as this object exists, and its file is one of `F`.
pub struct NewVma<'a, F> {
    raw: *mut bindings::vm_area_struct,
    _life: PhantomData<&'a ()>,
    _of: Of<F>,
}

impl<F: FileSystem> NewVma<'_, F> {
    /// Makes one from a raw pointer.
    ///
    /// # Safety
    ///
    /// The type invariant must hold.
    #[inline]
    pub(crate) unsafe fn from_raw(raw: *mut bindings::vm_area_struct) -> Self {
        // INVARIANT: By the safety requirements.
        Self {
            raw,
            _life: PhantomData,
            _of: PhantomData,
        }
    }

    /// The raw pointer.
    #[inline]
    pub(crate) fn as_raw(&self) -> *mut bindings::vm_area_struct {
        self.raw
    }
}

/// Who closes a file descriptor (`fl_owner_t`): only compared, never followed.
#[derive(Clone, Copy)]
pub struct FlOwner(pub(crate) bindings::fl_owner_t);

/// Turns a count of bytes or a negative errno into a result.
#[inline]
pub(crate) fn count_result(ret: isize) -> Result<usize> {
    match usize::try_from(ret) {
        Ok(count) => Ok(count),
        // CAST: a negative value is an errno.
        Err(_) => Err(errno(ret as c_int)),
    }
}

/// Turns an offset or a negative errno into a result.
#[inline]
pub(crate) fn offset_result(ret: bindings::loff_t) -> Result<i64> {
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

/// The reverse of [`offset_result`].
#[inline]
pub(super) fn from_offset(result: Result<i64>) -> bindings::loff_t {
    match result {
        Ok(offset) => offset,
        Err(err) => i64::from(err.class().to_errno()),
    }
}
