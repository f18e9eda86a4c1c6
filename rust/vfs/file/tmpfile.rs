// SPDX-License-Identifier: GPL-2.0

//! Making files without a name (`O_TMPFILE`).

use super::Operations;
use crate::{
    bindings,
    dentry::Unhashed,
    errno::to_result,
    inode::Fetched,
    super_block::SuperBlock,
    FileSystem,
    Of, //
};
use core::{
    marker::PhantomData,
    ptr, //
};
use kernel::{
    prelude::*,
    types::ForeignOwnable, //
};

/// A file that `->tmpfile` is to make and to open.
///
/// # Invariants
///
/// `raw` is a file of `F` that is not open yet, valid for `'a`. Its dentry is unhashed, has a short
/// name, and is known to nobody else.
pub struct TmpFile<'a, F> {
    raw: *mut bindings::file,
    _life: PhantomData<&'a ()>,
    _of: Of<F>,
}

/// The file system has opened the file already.
///
/// # Safety
///
/// None; it does nothing.
unsafe extern "C" fn open_nothing(_: *mut bindings::inode, _: *mut bindings::file) -> c_int {
    0
}

impl<'a, F: FileSystem> TmpFile<'a, F> {
    /// Makes one from a raw pointer.
    ///
    /// # Safety
    ///
    /// The type invariant must hold.
    #[inline]
    pub unsafe fn from_raw(raw: *mut bindings::file) -> Self {
        // INVARIANT: By the safety requirements.
        Self {
            raw,
            _life: PhantomData,
            _of: PhantomData,
        }
    }

    /// The raw pointer. The file is not open, and has no inode yet.
    #[inline]
    pub fn as_raw(&self) -> *mut bindings::file {
        self.raw
    }

    /// `f_flags` (`O_*`).
    pub fn flags(&self) -> u32 {
        // SAFETY: Valid by the type invariant, and nobody else uses the file.
        unsafe { (*self.raw).f_flags }
    }

    /// The super block.
    pub fn sb(&self) -> &'a SuperBlock<F> {
        // SAFETY: The dentry is valid by the type invariant, and its super block is there for `'a`.
        unsafe { SuperBlock::from_raw((*self.dentry().as_raw()).d_sb) }
    }

    /// The dentry, negative until [`instantiate`](Self::instantiate).
    pub fn dentry(&self) -> Unhashed<'_, F> {
        // SAFETY: By the type invariant nobody else changes the dentry, and what changes its name
        // here takes `&mut self`.
        unsafe { Unhashed::from_raw((*self.raw).__bindgen_anon_1.f_path.dentry) }
    }

    /// Gives the dentry its inode, and a name that shows the inode number (`d_mark_tmpfile()`).
    ///
    /// Returns `EEXIST` if it has one, and other errors as
    /// [`Negative::instantiate`](crate::dentry::Negative::instantiate) does.
    pub fn instantiate<'b>(&mut self, inode: impl Into<Fetched<'b, F>>) -> Result {
        let inode = inode.into();
        if !self.dentry().is_negative() {
            return Err(EEXIST);
        }
        self.dentry().check_instantiation(&inode)?;
        // SAFETY: The dentry is negative, and otherwise as the type invariant says.
        unsafe { bindings::d_mark_tmpfile(self.raw, inode.as_raw()) };
        // SAFETY: Negative, and known to nobody else; checked just now.
        unsafe { self.dentry().instantiate_checked(inode) };
        Ok(())
    }

    /// Opens the file, whose private data is `private` (`finish_open()`).
    ///
    /// Returns `EIO` where the inode has not the operations `O`.
    pub fn finish<O: Operations<FileSystem = F>>(self, private: O::Ptr) -> Result {
        let dentry = self.dentry().as_raw();
        let inode = self.dentry().inode().ok_or(EIO)?.as_raw();
        // SAFETY: Valid by the type invariant of the inode; constant once it is published.
        let operations = unsafe { (*inode).__bindgen_anon_3.i_fop };
        if !O::TABLE.is(operations) {
            return Err(EIO);
        }
        // SAFETY: Valid by the type invariant. The operations, and so the release, are those of
        // `O`.
        unsafe { (*self.raw).private_data = private.into_foreign() };
        // SAFETY: The file is not open by the type invariant, and its dentry positive.
        let ret = unsafe { bindings::finish_open(self.raw, dentry, Some(open_nothing)) };
        // SAFETY: Valid by the type invariant.
        let mode = unsafe { (*self.raw).f_mode };
        if mode & bindings::rvfs_const_RVFS_FMODE_OPENED == 0 {
            // Without the flag there will be no release.
            // SAFETY: Set above; nobody else has used it.
            drop(unsafe { O::Ptr::from_foreign((*self.raw).private_data) });
            // SAFETY: Valid by the type invariant.
            unsafe { (*self.raw).private_data = ptr::null_mut() };
        }
        to_result(ret)
    }
}
