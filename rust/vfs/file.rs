// SPDX-License-Identifier: GPL-2.0

//! Open files of a file system.
//!
//! C header: [`include/linux/fs.h`](srctree/include/linux/fs.h)

mod io;
mod one_user;
mod ops;
mod request;
mod tmpfile;

pub use io::{
    Dest,
    FlOwner,
    IovIterDest,
    IovIterSource,
    Kiocb,
    NewVma,
    Pipe,
    PipeDest,
    PipeSource,
    Source, //
};
pub use one_user::{
    InUse,
    OneUser, //
};
pub use ops::{
    FilePos,
    Operations,
    Private,
    Table, //
};
pub use request::{
    path_of_descriptor,
    Descriptor,
    Request, //
};
pub use tmpfile::TmpFile;

#[doc(hidden)]
pub use io::{
    check_pos,
    count_result,
    offset_result, //
};

use crate::{
    bindings,
    dentry::Dentry,
    errno::to_result,
    inode::{
        Inode,
        Locked, //
    },
    path::PathRef,
    FileSystem,
    Of, //
};
use kernel::{
    prelude::*,
    types::Opaque, //
};

/// An open file of `F`, `struct file`.
///
/// Files of layers are `kernel::fs::File`.
///
/// # Invariants
///
/// Valid as long as it is borrowed, and of the file system `F`.
#[repr(transparent)]
pub struct File<F> {
    file: Opaque<bindings::file>,
    _of: Of<F>,
}

impl<F: FileSystem> File<F> {
    /// Makes a reference from a raw pointer.
    ///
    /// # Safety
    ///
    /// `ptr` must be a file of `F`, valid for `'a`.
    #[inline]
    pub unsafe fn from_raw<'a>(ptr: *mut bindings::file) -> &'a Self {
        // SAFETY: By the safety requirements; the type is transparent.
        unsafe { &*ptr.cast() }
    }

    /// The raw pointer.
    #[inline]
    pub fn as_raw(&self) -> *mut bindings::file {
        self.file.get()
    }

    /// The inode.
    #[inline]
    pub fn inode(&self) -> &Inode<F> {
        // SAFETY: Constant while the file is open, which pins it.
        unsafe { Inode::from_raw((*self.as_raw()).f_inode) }
    }

    /// The path by which it was opened.
    #[inline]
    pub fn path(&self) -> PathRef<'_, F> {
        // SAFETY: Constant while the file is open, which pins it.
        unsafe { PathRef::from_raw(&raw const (*self.as_raw()).__bindgen_anon_1.f_path) }
    }

    /// The dentry by which it was opened.
    #[inline]
    pub fn dentry(&self) -> &Dentry<F> {
        self.path().dentry()
    }

    /// `f_flags` (`O_*`).
    #[inline]
    pub fn flags(&self) -> u32 {
        // SAFETY: Valid by the type invariant; a racy read of an integer, as in C.
        unsafe { (&raw const (*self.as_raw()).f_flags).read_volatile() }
    }

    /// Clears those of `flags` that only matter while the file is opened. To be called in `->open`.
    pub fn clear_flags(&self, flags: u32) {
        let flags = self.flags() & !flags;
        // SAFETY: Valid by the type invariant; a racy write of an integer, as in C.
        unsafe { (&raw mut (*self.as_raw()).f_flags).write_volatile(flags) };
    }

    /// Takes away what a change of the file's content takes away: set-user-ID, set-group-ID and
    /// capabilities (`file_remove_privs()`).
    ///
    /// Returns `EINVAL` where `lock` is not that of the file's inode.
    pub fn remove_privs(&self, lock: &Locked<'_, F>) -> Result {
        if !lock.inode().is(self.inode()) {
            return Err(EINVAL);
        }
        // SAFETY: Valid by the type invariant, and its inode is locked.
        to_result(unsafe { bindings::file_remove_privs(self.as_raw()) })
    }

    /// The position. Whoever changes it holds `f_pos_lock` or the inode's lock.
    #[inline]
    pub fn pos(&self) -> i64 {
        // SAFETY: Valid by the type invariant; a racy read of an integer, as in C.
        unsafe { (&raw const (*self.as_raw()).f_pos).read_volatile() }
    }

    /// Sets the position, in `->llseek` or `->iterate_shared`.
    #[inline]
    pub fn set_pos(&self, pos: i64) {
        // SAFETY: Valid by the type invariant; a racy write of an integer, as in C.
        unsafe { (&raw mut (*self.as_raw()).f_pos).write_volatile(pos) };
    }
}
