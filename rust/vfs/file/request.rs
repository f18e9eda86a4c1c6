// SPDX-License-Identifier: GPL-2.0

//! Requests of ioctl(2), with structures that grow.
//!
//! C headers: [`include/linux/uaccess.h`](srctree/include/linux/uaccess.h),
//! [`include/linux/file.h`](srctree/include/linux/file.h)

use crate::{
    bindings,
    path::{
        Path,
        PathRef, //
    },
    super_block::SuperBlock,
    FileSystem,
    Of, //
};
use core::{
    marker::PhantomData,
    ptr::NonNull, //
};
use kernel::{
    page::PAGE_SIZE,
    prelude::*,
    uaccess::{
        UserPtr,
        UserSlice,
        UserSliceReader, //
    }, //
};

/// A request of ioctl(2) with a pointer to a structure of the caller's.
pub struct Request {
    number: u32,
    argument: usize,
}

/// How many bytes are looked at at once whether they are zero.
const PIECE: usize = 64;

impl Request {
    /// The request `number` with the pointer `argument`, which may be anything.
    pub(super) fn new(number: u32, argument: usize) -> Self {
        Self { number, argument }
    }

    /// Its number.
    pub fn number(&self) -> u32 {
        self.number
    }

    fn user(&self, len: usize) -> UserSlice {
        UserSlice::new(UserPtr::from_addr(self.argument), len)
    }

    /// Reads the caller's structure, which begins with its size as an `u32` (`copy_struct_from_user()`).
    ///
    /// `buffer` is as long as the structure that is known here, and zero: what the caller's lacks stays
    /// so. Returns how many bytes of `buffer` the caller knows of. Returns `EINVAL` for one that is shorter than
    /// `first`, the first version of the structure, `E2BIG` for one that has more than is known here and is not zero there, or is
    /// larger than a page, and `EFAULT` where it cannot be read.
    pub fn read(&self, first: usize, buffer: &mut [u8]) -> Result<usize> {
        let mut size = [0; size_of::<u32>()];
        self.user(size.len()).reader().read_slice(&mut size)?;
        let whole = usize::try_from(u32::from_ne_bytes(size))?;
        if whole < first || whole < size.len() {
            return Err(EINVAL);
        }
        if whole > PAGE_SIZE {
            return Err(E2BIG);
        }
        let known = whole.min(buffer.len());
        let mut reader = self.user(whole).reader();
        let place = buffer.get_mut(..known).ok_or(EINVAL)?;
        reader.read_slice(place)?;
        // The caller may have changed it meanwhile.
        for (to, from) in place.iter_mut().zip(size) {
            *to = from;
        }
        check_zero(&mut reader)?;
        Ok(known)
    }

    /// Writes `answer` to the beginning of the caller's structure. Returns `EFAULT` where that cannot be
    /// written.
    pub fn write(&self, answer: &[u8]) -> Result {
        self.user(answer.len()).writer().write_slice(answer)
    }
}

/// Returns `E2BIG` unless all that is left is zero.
fn check_zero(reader: &mut UserSliceReader) -> Result {
    let mut piece = [0; PIECE];
    while !reader.is_empty() {
        let len = reader.len().min(PIECE);
        let place = piece.get_mut(..len).ok_or(EINVAL)?;
        reader.read_slice(place)?;
        if place.iter().any(|byte| *byte != 0) {
            return Err(E2BIG);
        }
    }
    Ok(())
}

/// The path of the descriptor `fd` of the current task, of whatever file system (`fget_raw()`). Returns `EBADF`
/// where there is none.
pub fn path_of_descriptor(fd: i32) -> Result<Path> {
    let fd = u32::try_from(fd).map_err(|_| EBADF)?;
    // SAFETY: No requirements.
    let file = NonNull::new(unsafe { bindings::fget_raw(fd) }).ok_or(EBADF)?;
    // SAFETY: A file pins its path, which is constant.
    let path = unsafe { (*file.as_ptr()).__bindgen_anon_1.f_path };
    // SAFETY: The file holds references, so more can be taken.
    unsafe { bindings::path_get(&path) };
    // SAFETY: The reference was taken above.
    unsafe { bindings::fput(file.as_ptr()) };
    // SAFETY: References were taken just now.
    Ok(unsafe { Path::from_raw(path) })
}

/// An object for which the caller has a descriptor, which may be one for its path only (`O_PATH`).
///
/// # Invariants
///
/// There is a reference on the file, whose dentry is of `F`.
pub struct Descriptor<F> {
    file: NonNull<bindings::file>,
    _of: Of<F>,
}

impl<F: FileSystem> Descriptor<F> {
    /// The object of the descriptor `fd` of the current task (`fget_raw()`).
    ///
    /// Returns `EBADF` where there is none, and `EXDEV` where it is not of `sb`.
    pub fn of(fd: i32, sb: &SuperBlock<F>) -> Result<Self> {
        let fd = u32::try_from(fd).map_err(|_| EBADF)?;
        // SAFETY: No requirements.
        let file = NonNull::new(unsafe { bindings::fget_raw(fd) }).ok_or(EBADF)?;
        // INVARIANT: The reference was taken just now; of what follows until the check nothing but the
        // reference matters.
        let this = Self {
            file,
            _of: PhantomData,
        };
        // SAFETY: A file pins its path, which is constant, and that its file system.
        let of = unsafe { (*(*file.as_ptr()).__bindgen_anon_1.f_path.dentry).d_sb };
        if of != sb.as_raw() {
            return Err(EXDEV);
        }
        Ok(this)
    }

    /// The path that was opened.
    pub fn path(&self) -> PathRef<'_, F> {
        // SAFETY: By the type invariant; constant as long as the file is there.
        unsafe { PathRef::from_raw(&raw const (*self.file.as_ptr()).__bindgen_anon_1.f_path) }
    }
}

impl<F> Drop for Descriptor<F> {
    fn drop(&mut self) {
        // SAFETY: By the type invariant.
        unsafe { bindings::fput(self.file.as_ptr()) };
    }
}
