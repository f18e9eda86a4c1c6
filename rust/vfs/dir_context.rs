// SPDX-License-Identifier: GPL-2.0

//! Passing the entries of directories to whoever reads them.
//!
//! C header: [`include/linux/fs.h`](srctree/include/linux/fs.h)

use crate::bindings;
use core::marker::PhantomData;
use kernel::prelude::*;

/// Where the entries of a directory go (`struct dir_context`).
///
/// # Invariants
///
/// `raw` is valid for `'a` and not used otherwise.
pub struct DirContext<'a> {
    raw: *mut bindings::dir_context,
    _life: PhantomData<&'a mut ()>,
}

impl DirContext<'_> {
    /// Makes one from a raw pointer.
    ///
    /// # Safety
    ///
    /// The type invariant must hold.
    #[inline]
    pub unsafe fn from_raw(raw: *mut bindings::dir_context) -> Self {
        // INVARIANT: By the safety requirements.
        Self {
            raw,
            _life: PhantomData,
        }
    }

    /// The raw pointer.
    #[inline]
    pub fn as_raw(&mut self) -> *mut bindings::dir_context {
        self.raw
    }

    /// The position of the next entry.
    pub fn pos(&self) -> i64 {
        // SAFETY: Valid by the type invariant.
        unsafe { (*self.raw).pos }
    }

    /// Sets the position of the next entry.
    pub fn set_pos(&mut self, pos: i64) {
        // SAFETY: Valid by the type invariant.
        unsafe { (*self.raw).pos = pos };
    }

    /// Passes an entry on. Returns `false` where there is no more room.
    #[inline]
    pub fn emit(&mut self, name: &[u8], ino: u64, kind: u32) -> bool {
        let Ok(len) = c_int::try_from(name.len()) else {
            return false;
        };
        // SAFETY: Valid by the type invariant; the name has that length.
        unsafe { bindings::rvfs_dir_emit(self.raw, name.as_ptr().cast(), len, ino, kind) }
    }
}
