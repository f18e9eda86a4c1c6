// SPDX-License-Identifier: GPL-2.0

//! Extended attributes.
//!
//! C header: [`include/linux/xattr.h`](srctree/include/linux/xattr.h)

mod handler;

pub(crate) use handler::list_into;
pub use handler::{
    Change,
    Handler,
    Handlers, //
};

use crate::{
    dentry::Dentry,
    errno::to_result,
    Foreign, //
};
use core::marker::PhantomData;
use kernel::{
    prelude::*,
    str::CStr, //
};

/// The name of an attribute, as C has it: nobody has counted how long it is, since that costs as much as
/// the rest of what is done with one that is only passed on.
///
/// # Invariants
///
/// `raw` is a string that ends with a NUL, and does not change for `'a`.
#[derive(Clone, Copy)]
pub struct Name<'a> {
    raw: *const c_char,
    _life: PhantomData<&'a CStr>,
}

impl<'a> Name<'a> {
    /// Makes one from a raw pointer.
    ///
    /// # Safety
    ///
    /// The type invariant must hold.
    #[inline]
    pub(crate) unsafe fn from_raw(raw: *const c_char) -> Self {
        // INVARIANT: By the safety requirements.
        Self {
            raw,
            _life: PhantomData,
        }
    }

    /// As C has it.
    #[inline]
    pub fn as_char_ptr(self) -> *const c_char {
        self.raw
    }

    /// The bytes of the name, without the NUL.
    pub fn to_bytes(self) -> &'a [u8] {
        // SAFETY: By the type invariant.
        unsafe { CStr::from_char_ptr(self.raw) }.to_bytes()
    }
}

impl<'a> From<&'a CStr> for Name<'a> {
    #[inline]
    fn from(name: &'a CStr) -> Self {
        // SAFETY: Borrowed for `'a`.
        unsafe { Self::from_raw(name.as_char_ptr()) }
    }
}

/// The length that a function of C returned, or its error.
#[doc(hidden)]
#[inline]
pub fn length(ret: isize) -> Result<usize> {
    usize::try_from(ret).map_err(|_| {
        // CAST: an error number.
        to_result(ret as c_int).err().unwrap_or(EINVAL)
    })
}

impl Dentry<Foreign> {
    /// Whether its file system can list attributes.
    pub fn lists_xattrs(&self) -> bool {
        self.inode().is_some_and(|inode| {
            // SAFETY: Valid by the type invariant; `i_op` is never null.
            unsafe { (*(*inode.as_raw()).i_op).listxattr.is_some() }
        })
    }
}
