// SPDX-License-Identifier: GPL-2.0

//! `struct export_operations`: file handles of a file system written with this crate.
//!
//! Handles are only made here, not found again: they serve to recognise an object, for fanotify(7)
//! and `name_to_handle_at(AT_HANDLE_FID)`.
//!
//! C header: [`include/linux/exportfs.h`](srctree/include/linux/exportfs.h)

use crate::{
    bindings,
    inode::Inode,
    FileSystem, //
};
use core::{
    marker::PhantomData,
    slice, //
};
use kernel::prelude::*;

/// The operations of `struct export_operations`.
pub trait Operations {
    /// Whose handles these are.
    type FileSystem: FileSystem;

    /// Makes the handle of an inode, which may have no name in the dcache.
    ///
    /// Writes it to `handle` if it fits there; the caller asks again with more room otherwise.
    /// Returns `None` where there can be no handle.
    fn encode_fh(inode: &Inode<Self::FileSystem>, handle: &mut [u8]) -> Option<Encoded>;
}

/// A file handle that was made.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Encoded {
    /// The type (`enum fid_type`).
    pub kind: u8,
    /// The length in bytes, a multiple of four, whether it did fit or not.
    pub len: usize,
}

/// The table of an implementation of [`Operations`].
pub struct Table<T: Operations>(PhantomData<T>);

impl<T: Operations> Table<T> {
    /// # Safety
    ///
    /// To be called by the VFS only, with an inode of `T::FileSystem` and `*words` words of room.
    unsafe extern "C" fn encode_fh_callback(
        inode: *mut bindings::inode,
        fh: *mut u32,
        words: *mut c_int,
        parent: *mut bindings::inode,
    ) -> c_int {
        // CAST: a constant that fits.
        const INVALID: c_int = bindings::rvfs_const_RVFS_FILEID_INVALID as c_int;
        if !parent.is_null() {
            // The handle would have to lead to the directory as well.
            return INVALID;
        }
        // SAFETY: By the safety requirements.
        let inode = unsafe { Inode::from_raw(inode) };
        // SAFETY: By the safety requirements.
        let room = usize::try_from(unsafe { *words })
            .unwrap_or(0)
            .saturating_mul(4);
        let handle: &mut [u8] = if fh.is_null() {
            &mut []
        } else {
            // SAFETY: By the safety requirements; bytes are aligned anywhere.
            unsafe { slice::from_raw_parts_mut(fh.cast(), room) }
        };
        let Some(encoded) = T::encode_fh(inode, handle) else {
            return INVALID;
        };
        let Ok(needed) = c_int::try_from(encoded.len / 4) else {
            return INVALID;
        };
        // SAFETY: By the safety requirements.
        unsafe { *words = needed };
        if encoded.len > room {
            INVALID
        } else {
            c_int::from(encoded.kind)
        }
    }

    const OPS: bindings::export_operations = bindings::export_operations {
        encode_fh: Some(Self::encode_fh_callback),
        ..pin_init::zeroed()
    };

    /// The table as C wants it.
    pub(crate) const TABLE: &'static bindings::export_operations = &Self::OPS;
}
