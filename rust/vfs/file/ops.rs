// SPDX-License-Identifier: GPL-2.0

//! `struct file_operations`.

mod data;

pub use data::FilePos;

use super::{
    File,
    FlOwner,
    IovIterDest,
    IovIterSource,
    Kiocb,
    NewVma,
    PipeDest,
    PipeSource,
    Request, //
};
use crate::{
    bindings,
    dir_context::DirContext,
    errno::{
        from_result,
        WithReason, //
    },
    inode::{
        Inode,
        Locked,
        LockedShared, //
    },
    version,
    FileSystem, //
};
use core::{
    marker::PhantomData,
    ptr, //
};
use kernel::{
    error::VTABLE_DEFAULT_ERROR,
    prelude::*,
    types::ForeignOwnable, //
};

/// What the operations `T` get of what is known of an open file.
pub type Private<'a, T> = <<T as Operations>::Ptr as ForeignOwnable>::Borrowed<'a>;

/// The operations of `struct file_operations`.
///
/// Often `Self` is what is known of an open file, and [`Ptr`](Self::Ptr) a box of it.
#[vtable]
pub trait Operations: Sized + 'static {
    /// Whose files these are.
    type FileSystem: FileSystem;
    /// What is known of an open file, in `private_data`.
    type Ptr: ForeignOwnable + Send + Sync;

    /// The table of these operations, a `static`: its address tells these files from others.
    const TABLE: &'static Table<Self>;

    /// Opens a file. The result is its private data, until the last close.
    fn open(inode: &Inode<Self::FileSystem>, file: &File<Self::FileSystem>) -> Result<Self::Ptr>;

    /// The last close.
    fn release(_private: Self::Ptr, _inode: &Inode<Self::FileSystem>) {}

    /// Moves the position.
    fn llseek(
        _private: Private<'_, Self>,
        _file: &File<Self::FileSystem>,
        _offset: i64,
        _whence: i32,
    ) -> Result<i64> {
        build_error!(VTABLE_DEFAULT_ERROR)
    }

    /// Writes back what is dirty between `start` and `end`, both included.
    fn fsync(
        _private: Private<'_, Self>,
        _file: &File<Self::FileSystem>,
        _start: i64,
        _end: i64,
        _datasync: bool,
    ) -> Result {
        build_error!(VTABLE_DEFAULT_ERROR)
    }

    /// Reads into `iter`, as `iocb` says. Returns the number of bytes, or `EIOCBQUEUED`.
    fn read_iter(
        _private: Private<'_, Self>,
        _iocb: Kiocb<'_, Self::FileSystem>,
        _iter: IovIterDest<'_>,
    ) -> Result<usize> {
        build_error!(VTABLE_DEFAULT_ERROR)
    }

    /// Writes from `iter`, as `iocb` says. Returns the number of bytes, or `EIOCBQUEUED`.
    fn write_iter(
        _private: Private<'_, Self>,
        _iocb: Kiocb<'_, Self::FileSystem>,
        _iter: IovIterSource<'_>,
    ) -> Result<usize> {
        build_error!(VTABLE_DEFAULT_ERROR)
    }

    /// Moves `len` bytes from `pos` on into a pipe without copying them, and moves `pos`. Returns
    /// the number of bytes.
    fn splice_read(
        _private: Private<'_, Self>,
        _file: &File<Self::FileSystem>,
        _pos: &mut i64,
        _pipe: PipeDest<'_>,
        _len: usize,
        _flags: u32,
    ) -> Result<usize> {
        build_error!(VTABLE_DEFAULT_ERROR)
    }

    /// Moves `len` bytes from a pipe to `pos` without copying them, and moves `pos`. Returns the
    /// number of bytes.
    fn splice_write(
        _private: Private<'_, Self>,
        _file: &File<Self::FileSystem>,
        _pipe: PipeSource<'_>,
        _pos: &mut i64,
        _len: usize,
        _flags: u32,
    ) -> Result<usize> {
        build_error!(VTABLE_DEFAULT_ERROR)
    }

    /// Maps the file into `vma`.
    fn mmap(
        _private: Private<'_, Self>,
        _file: &File<Self::FileSystem>,
        _vma: NewVma<'_, Self::FileSystem>,
    ) -> Result {
        build_error!(VTABLE_DEFAULT_ERROR)
    }

    /// Allocates, punches, zeroes, … `len` bytes from `offset` on, as `mode` (`FALLOC_FL_*`) says.
    fn fallocate(
        _private: Private<'_, Self>,
        _file: &File<Self::FileSystem>,
        _mode: i32,
        _offset: i64,
        _len: i64,
    ) -> Result {
        build_error!(VTABLE_DEFAULT_ERROR)
    }

    /// Takes advice on how `len` bytes from `offset` on will be used (`POSIX_FADV_*`).
    fn fadvise(
        _private: Private<'_, Self>,
        _file: &File<Self::FileSystem>,
        _offset: i64,
        _len: i64,
        _advice: i32,
    ) -> Result {
        build_error!(VTABLE_DEFAULT_ERROR)
    }

    /// Runs at each close(2) of a descriptor of the file; the last one of all is followed by
    /// [`release`](Self::release).
    fn flush(
        _private: Private<'_, Self>,
        _file: &File<Self::FileSystem>,
        _owner: FlOwner,
    ) -> Result {
        build_error!(VTABLE_DEFAULT_ERROR)
    }

    /// Does what a request of ioctl(2) asks for that the VFS does not know, also of a 32-bit program
    /// (`->unlocked_ioctl`, `->compat_ioctl`). Returns `ENOTTY` for one that is not known here either.
    fn ioctl(
        _private: Private<'_, Self>,
        _file: &File<Self::FileSystem>,
        _request: &Request,
    ) -> Result {
        build_error!(VTABLE_DEFAULT_ERROR)
    }

    /// Copies `len` bytes. Returns the number of bytes copied.
    fn copy_file_range(
        _src: FilePos<'_, Self>,
        _dst: FilePos<'_, Self>,
        _len: usize,
        _flags: u32,
    ) -> Result<usize> {
        build_error!(VTABLE_DEFAULT_ERROR)
    }

    /// Shares the extents of `len` bytes, as `flags` (`REMAP_FILE_*`) say. Returns the number of bytes
    /// shared.
    fn remap_file_range(
        _src: FilePos<'_, Self>,
        _dst: FilePos<'_, Self>,
        _len: i64,
        _flags: u32,
    ) -> Result<i64> {
        build_error!(VTABLE_DEFAULT_ERROR)
    }

    /// Reads a directory, from the position on. The directory is locked for reading: several may do it
    /// at a time, each with a file of its own (see [`OneUser`](super::OneUser)).
    fn iterate_shared(
        _private: Private<'_, Self>,
        _file: &File<Self::FileSystem>,
        _dir: LockedShared<'_, Self::FileSystem>,
        _ctx: &mut DirContext<'_>,
    ) -> Result {
        build_error!(VTABLE_DEFAULT_ERROR)
    }

    /// Reads a directory, from the position on. The directory is locked for writing. Not called where there
    /// is [`iterate_shared`](Self::iterate_shared).
    fn iterate(
        _private: Private<'_, Self>,
        _file: &File<Self::FileSystem>,
        _dir: Locked<'_, Self::FileSystem>,
        _ctx: &mut DirContext<'_>,
    ) -> Result {
        build_error!(VTABLE_DEFAULT_ERROR)
    }
}

/// The table of an implementation of [`Operations`].
#[repr(transparent)]
pub struct Table<T: Operations> {
    raw: bindings::file_operations,
    _of: PhantomData<T>,
}

// SAFETY: The table is constant.
unsafe impl<T: Operations> Sync for Table<T> {}

impl<T: Operations> Table<T> {
    /// The table, for a `static`. A constant would not do: the compiler may make several of it.
    #[expect(clippy::new_without_default, reason = "it is made at build time only")]
    pub const fn new() -> Self {
        Self {
            raw: Self::OPS,
            _of: PhantomData,
        }
    }

    /// The table as C wants it.
    #[inline]
    pub const fn as_raw(&self) -> *const bindings::file_operations {
        &raw const self.raw
    }

    /// Whether `operations` are this table.
    pub(crate) fn is(&self, operations: *const bindings::file_operations) -> bool {
        ptr::eq(self.as_raw(), operations)
    }

    /// The private data of an open file.
    ///
    /// # Safety
    ///
    /// `file` must be an open file with these operations, whose `open` has succeeded, and must stay
    /// open for `'a`.
    #[inline]
    unsafe fn private<'a>(file: *mut bindings::file) -> Private<'a, T> {
        // SAFETY: By the safety requirements; set by `open_callback`, and owned until the release.
        unsafe { T::Ptr::borrow((*file).private_data) }
    }

    /// # Safety
    ///
    /// This and the other callbacks: to be called by the VFS only, with files of `T::FileSystem`.
    unsafe extern "C" fn open_callback(
        inode: *mut bindings::inode,
        file: *mut bindings::file,
    ) -> c_int {
        from_result(|| {
            // SAFETY: By the safety requirements.
            let (inode, this) = unsafe { (Inode::from_raw(inode), File::from_raw(file)) };
            let private = T::open(inode, this)?;
            // SAFETY: By the safety requirements.
            unsafe { (*file).private_data = private.into_foreign() };
            Ok(0)
        })
    }

    /// # Safety
    ///
    /// See [`Self::open_callback`].
    unsafe extern "C" fn release_callback(
        inode: *mut bindings::inode,
        file: *mut bindings::file,
    ) -> c_int {
        // SAFETY: By the safety requirements; set by `open_callback`.
        let private = unsafe { T::Ptr::from_foreign((*file).private_data) };
        // SAFETY: By the safety requirements.
        unsafe { (*file).private_data = ptr::null_mut() };
        // SAFETY: By the safety requirements.
        T::release(private, unsafe { Inode::from_raw(inode) });
        0
    }

    /// # Safety
    ///
    /// See [`Self::open_callback`].
    unsafe extern "C" fn llseek_callback(
        file: *mut bindings::file,
        offset: bindings::loff_t,
        whence: c_int,
    ) -> bindings::loff_t {
        // SAFETY: By the safety requirements.
        let (this, private) = unsafe { (File::from_raw(file), Self::private(file)) };
        match T::llseek(private, this, offset, whence) {
            Ok(pos) => pos,
            Err(err) => i64::from(err.class().to_errno()),
        }
    }

    /// # Safety
    ///
    /// See [`Self::open_callback`].
    unsafe extern "C" fn fsync_callback(
        file: *mut bindings::file,
        start: bindings::loff_t,
        end: bindings::loff_t,
        datasync: c_int,
    ) -> c_int {
        // SAFETY: By the safety requirements.
        let (this, private) = unsafe { (File::from_raw(file), Self::private(file)) };
        from_result(|| T::fsync(private, this, start, end, datasync != 0).map(|()| 0))
    }

    /// # Safety
    ///
    /// See [`Self::open_callback`].
    unsafe extern "C" fn iterate_shared_callback(
        file: *mut bindings::file,
        ctx: *mut bindings::dir_context,
    ) -> c_int {
        // SAFETY: By the safety requirements.
        let (this, private) = unsafe { (File::from_raw(file), Self::private(file)) };
        // SAFETY: The VFS passes a valid context.
        let mut ctx = unsafe { DirContext::from_raw(ctx) };
        // SAFETY: `iterate_dir()` holds the lock for reading.
        let dir = unsafe { LockedShared::new(this.inode()) };
        from_result(|| T::iterate_shared(private, this, dir, &mut ctx).map(|()| 0))
    }

    /// # Safety
    ///
    /// See [`Self::open_callback`].
    unsafe extern "C" fn iterate_wrapped_callback(
        file: *mut bindings::file,
        ctx: *mut bindings::dir_context,
    ) -> c_int {
        // SAFETY: The wrapper takes the lock of the directory for writing and calls `iterate`.
        unsafe { bindings::wrap_directory_iterator(file, ctx, Some(Self::iterate_callback)) }
    }

    /// # Safety
    ///
    /// See [`Self::open_callback`].
    unsafe extern "C" fn iterate_callback(
        file: *mut bindings::file,
        ctx: *mut bindings::dir_context,
    ) -> c_int {
        // SAFETY: By the safety requirements.
        let (this, private) = unsafe { (File::from_raw(file), Self::private(file)) };
        // SAFETY: The VFS passes a valid context.
        let mut ctx = unsafe { DirContext::from_raw(ctx) };
        // SAFETY: `wrap_directory_iterator()` holds the lock, and calls this once.
        let dir = unsafe { Locked::new(this.inode()) };
        from_result(|| T::iterate(private, this, dir, &mut ctx).map(|()| 0))
    }

    /// # Safety
    ///
    /// See [`Self::open_callback`].
    unsafe extern "C" fn ioctl_callback(
        file: *mut bindings::file,
        number: c_uint,
        argument: c_ulong,
    ) -> c_long {
        // SAFETY: By the safety requirements.
        let (this, private) = unsafe { (File::from_raw(file), Self::private(file)) };
        let request = Request::new(number, argument);
        match T::ioctl(private, this, &request) {
            Ok(()) => 0,
            // CAST: it is not narrower.
            Err(err) => err.class().to_errno() as c_long,
        }
    }

    const OPS: bindings::file_operations = bindings::file_operations {
        owner: version::owner!(T),
        open: Some(Self::open_callback),
        release: Some(Self::release_callback),
        llseek: if T::HAS_LLSEEK {
            Some(Self::llseek_callback)
        } else {
            None
        },
        fsync: if T::HAS_FSYNC {
            Some(Self::fsync_callback)
        } else {
            None
        },
        read_iter: if T::HAS_READ_ITER {
            Some(Self::read_iter_callback)
        } else {
            None
        },
        write_iter: if T::HAS_WRITE_ITER {
            Some(Self::write_iter_callback)
        } else {
            None
        },
        splice_read: if T::HAS_SPLICE_READ {
            Some(Self::splice_read_callback)
        } else {
            None
        },
        splice_write: if T::HAS_SPLICE_WRITE {
            Some(Self::splice_write_callback)
        } else {
            None
        },
        mmap: if T::HAS_MMAP {
            Some(Self::mmap_callback)
        } else {
            None
        },
        fallocate: if T::HAS_FALLOCATE {
            Some(Self::fallocate_callback)
        } else {
            None
        },
        fadvise: if T::HAS_FADVISE {
            Some(Self::fadvise_callback)
        } else {
            None
        },
        flush: if T::HAS_FLUSH {
            Some(Self::flush_callback)
        } else {
            None
        },
        unlocked_ioctl: if T::HAS_IOCTL {
            Some(Self::ioctl_callback)
        } else {
            None
        },
        compat_ioctl: if T::HAS_IOCTL {
            bindings::compat_ptr_ioctl
        } else {
            None
        },
        copy_file_range: if T::HAS_COPY_FILE_RANGE {
            Some(Self::copy_file_range_callback)
        } else {
            None
        },
        remap_file_range: if T::HAS_REMAP_FILE_RANGE {
            Some(Self::remap_file_range_callback)
        } else {
            None
        },
        iterate_shared: if T::HAS_ITERATE_SHARED {
            Some(Self::iterate_shared_callback)
        } else if T::HAS_ITERATE {
            Some(Self::iterate_wrapped_callback)
        } else {
            None
        },
        read: if T::HAS_ITERATE || T::HAS_ITERATE_SHARED {
            Some(bindings::generic_read_dir)
        } else {
            None
        },
        setlease: Some(bindings::generic_setlease),
        ..pin_init::zeroed()
    };
}
