// SPDX-License-Identifier: GPL-2.0

//! Targets of symbolic links.

use crate::bindings;
use core::marker::PhantomData;
use kernel::{
    prelude::*,
    str::CStr, //
};

/// Where a link's target is put that has to be freed after use (`struct delayed_call`).
pub struct DelayedCall<'a> {
    pub(super) raw: *mut bindings::delayed_call,
    pub(super) _life: PhantomData<&'a ()>,
}

impl DelayedCall<'_> {
    /// Makes one from a raw pointer.
    ///
    /// # Safety
    ///
    /// `raw` must be empty, valid for the lifetime that the caller chooses, and called at the end of it.
    #[inline]
    pub unsafe fn from_raw(raw: *mut bindings::delayed_call) -> Self {
        Self {
            raw,
            _life: PhantomData,
        }
    }

    /// The raw pointer.
    #[inline]
    pub fn as_raw(&self) -> *mut bindings::delayed_call {
        self.raw
    }
}

/// The target of a link, valid until the delayed call.
pub struct Link<'a> {
    pub(super) raw: *const c_char,
    pub(super) _life: PhantomData<&'a ()>,
}

impl<'a> Link<'a> {
    /// Makes one from a raw pointer.
    ///
    /// # Safety
    ///
    /// `raw` must be null, or NUL-terminated and valid until the delayed call.
    #[inline]
    pub unsafe fn from_raw(raw: *const c_char) -> Self {
        Self {
            raw,
            _life: PhantomData,
        }
    }

    /// The raw pointer.
    #[inline]
    pub fn as_raw(&self) -> *const c_char {
        self.raw
    }

    /// A target that is kept with the inode, so that nothing has to be freed after use.
    pub fn kept(target: &'a CStr) -> Self {
        Self {
            raw: target.as_char_ptr(),
            _life: PhantomData,
        }
    }
}
