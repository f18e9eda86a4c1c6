// SPDX-License-Identifier: GPL-2.0

//! `struct xattr_handler`, and lists of them.

use super::Name;
use crate::{
    bindings,
    dentry::{
        Dentry,
        LockedDentry, //
    },
    errno::from_result,
    inode::{
        Inode,
        Locked, //
    },
    FileSystem,
    Of, //
};
use core::{
    marker::PhantomData,
    ptr,
    slice, //
};
use kernel::{
    prelude::*,
    str::CStr, //
};

/// The extended attributes whose names begin with a prefix.
pub trait Handler {
    /// Whose objects these are.
    type FileSystem: FileSystem;

    /// What the names begin with; an empty prefix stands for all names.
    const PREFIX: &'static CStr;

    /// Reads the attribute `name`, which is without the prefix, into `value` and returns its length.
    ///
    /// An empty buffer asks for the length. Returns `ENODATA` where there is no such attribute and
    /// `ERANGE` where the buffer is too small.
    ///
    /// Security modules ask before the dentry is complete, so there is only an inode.
    fn get(inode: &Inode<Self::FileSystem>, name: Name<'_>, value: &mut [u8]) -> Result<usize>;

    /// Sets the attribute `name`, which is without the prefix, or removes it.
    fn set(
        dentry: &LockedDentry<'_, Self::FileSystem>,
        name: Name<'_>,
        change: Change<'_>,
    ) -> Result;
}

/// What is done to an extended attribute.
#[derive(Clone, Copy)]
pub enum Change<'a> {
    /// It gets a value.
    Set {
        /// The value, which may be empty.
        value: &'a [u8],
        /// `XATTR_CREATE`, `XATTR_REPLACE` or neither.
        flags: i32,
    },
    /// It is removed; `ENODATA` where there is none.
    Remove,
}

/// The handlers of a file system, as its super block has them.
pub struct Handlers<F> {
    raw: *const *const bindings::xattr_handler,
    _of: Of<F>,
}

impl<F: FileSystem> Handlers<F> {
    /// One handler.
    pub fn one<A>() -> Self
    where
        A: Handler<FileSystem = F>,
    {
        Self {
            raw: One::<A>::LIST.as_ptr(),
            _of: PhantomData,
        }
    }

    /// Two handlers; the first one whose prefix fits a name is asked.
    pub fn pair<A, B>() -> Self
    where
        A: Handler<FileSystem = F>,
        B: Handler<FileSystem = F>,
    {
        Self {
            raw: Pair::<A, B>::LIST.as_ptr(),
            _of: PhantomData,
        }
    }

    /// The raw pointer.
    #[inline]
    pub fn as_raw(&self) -> *const *const bindings::xattr_handler {
        self.raw
    }
}

struct One<A>(PhantomData<A>);

impl<A: Handler> One<A> {
    const LIST: &'static [*const bindings::xattr_handler; 2] = &[Table::<A>::TABLE, ptr::null()];
}

struct Pair<A, B>(PhantomData<(A, B)>);

impl<A: Handler, B: Handler> Pair<A, B> {
    const LIST: &'static [*const bindings::xattr_handler; 3] =
        &[Table::<A>::TABLE, Table::<B>::TABLE, ptr::null()];
}

/// The table of an implementation of [`Handler`].
struct Table<T: Handler>(PhantomData<T>);

impl<T: Handler> Table<T> {
    /// # Safety
    ///
    /// To be called by the VFS only, with an inode of `T::FileSystem`.
    unsafe extern "C" fn get_callback(
        _handler: *const bindings::xattr_handler,
        _dentry: *mut bindings::dentry,
        inode: *mut bindings::inode,
        name: *const c_char,
        buffer: *mut c_void,
        size: usize,
    ) -> c_int {
        // SAFETY: By the safety requirements.
        let inode = unsafe { Inode::from_raw(inode) };
        // SAFETY: The VFS passes a NUL-terminated string.
        let name = unsafe { Name::from_raw(name) };
        let value: &mut [u8] = if buffer.is_null() {
            &mut []
        } else {
            // SAFETY: The VFS passes a buffer of that length, which nobody else uses.
            unsafe { slice::from_raw_parts_mut(buffer.cast(), size) }
        };
        from_result(|| {
            let len = length_in(buffer.is_null(), size, T::get(inode, name, value)?)?;
            Ok(c_int::try_from(len)?)
        })
    }

    /// # Safety
    ///
    /// To be called by the VFS only, with objects of `T::FileSystem`.
    unsafe extern "C" fn set_callback(
        _handler: *const bindings::xattr_handler,
        _idmap: *mut bindings::mnt_idmap,
        dentry: *mut bindings::dentry,
        inode: *mut bindings::inode,
        name: *const c_char,
        value: *const c_void,
        size: usize,
        flags: c_int,
    ) -> c_int {
        // SAFETY: By the safety requirements; the inode is locked.
        let (dentry, inode) = unsafe { (Dentry::from_raw(dentry), Locked::from_raw(inode)) };
        // SAFETY: The VFS passes a dentry with its inode.
        let dentry = unsafe { LockedDentry::new(dentry, inode) };
        // SAFETY: The VFS passes a NUL-terminated string.
        let name = unsafe { Name::from_raw(name) };
        let change = if value.is_null() {
            Change::Remove
        } else {
            // SAFETY: The VFS passes a value of that length, which nobody changes.
            let value = unsafe { slice::from_raw_parts(value.cast(), size) };
            Change::Set { value, flags }
        };
        from_result(|| T::set(&dentry, name, change).map(|()| 0))
    }

    const HANDLER: bindings::xattr_handler = bindings::xattr_handler {
        prefix: T::PREFIX.to_bytes_with_nul().as_ptr(),
        get: Some(Self::get_callback),
        set: Some(Self::set_callback),
        ..pin_init::zeroed()
    };

    /// The table as C wants it.
    const TABLE: &'static bindings::xattr_handler = &Self::HANDLER;
}

/// `->listxattr`: calls `list` with the buffer of the caller.
///
/// # Safety
///
/// `buffer` must be null, or have `size` bytes that nobody else uses.
pub(crate) unsafe fn list_into(
    buffer: *mut c_char,
    size: usize,
    list: impl FnOnce(&mut [u8]) -> Result<usize>,
) -> isize {
    let asks_for_length = buffer.is_null();
    let buffer: &mut [u8] = if asks_for_length {
        &mut []
    } else {
        // SAFETY: By the safety requirements.
        unsafe { slice::from_raw_parts_mut(buffer.cast(), size) }
    };
    from_result(|| {
        let len = length_in(asks_for_length, size, list(buffer)?)?;
        Ok(isize::try_from(len)?)
    })
}

/// The length that is returned to C, which copies as much out of a buffer of `size` bytes: `ERANGE`
/// where that is more than there is.
fn length_in(asks_for_length: bool, size: usize, len: usize) -> Result<usize> {
    if asks_for_length || len <= size {
        Ok(len)
    } else {
        Err(ERANGE)
    }
}
