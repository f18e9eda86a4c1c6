// SPDX-License-Identifier: GPL-2.0

//! Where the data of a file is on disk.
//!
//! C header: [`include/linux/fiemap.h`](srctree/include/linux/fiemap.h)

use super::{
    Inode,
    Operations,
    Table, //
};
use crate::{
    bindings,
    errno::from_result, //
};
use core::marker::PhantomData;
use kernel::prelude::*;

/// A request for the extents of a file, `struct fiemap_extent_info`.
///
/// # Invariants
///
/// `raw` is valid for `'a`.
pub struct Fiemap<'a> {
    raw: *mut bindings::fiemap_extent_info,
    _life: PhantomData<&'a ()>,
}

impl Fiemap<'_> {
    /// The raw pointer.
    #[inline]
    pub fn as_raw(&self) -> *mut bindings::fiemap_extent_info {
        self.raw
    }
}

impl<T: Operations> Table<T> {
    /// # Safety
    ///
    /// See `lookup_callback`.
    pub(super) unsafe extern "C" fn fiemap_callback(
        inode: *mut bindings::inode,
        request: *mut bindings::fiemap_extent_info,
        start: u64,
        len: u64,
    ) -> c_int {
        // SAFETY: By the safety requirements.
        let inode = unsafe { Inode::from_raw(inode) };
        // INVARIANT: The VFS passes a valid request.
        let request = Fiemap {
            raw: request,
            _life: PhantomData,
        };
        from_result(|| T::fiemap(inode, request, start, len).map(|()| 0))
    }
}
