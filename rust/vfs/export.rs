// SPDX-License-Identifier: GPL-2.0

//! `struct export_operations`: file handles of a file system written with this crate.
//!
//! A handle identifies an object independently of its name. All file systems can make handles to
//! recognise an object by, for fanotify(7) and `name_to_handle_at(AT_HANDLE_FID)`. One that can find
//! the object again can be exported by NFS, and used with open_by_handle_at(2).
//!
//! # A handle that is decoded
//!
//! Directories have to be connected to the root: there is one dentry of each. What is no directory
//! may be a *disconnected* dentry without a name, made by [`Dentry::obtain_alias`]; a change through
//! it comes to the file system like any other, with a dentry for which
//! [`is_disconnected`](Dentry::is_disconnected) says so.
//!
//! C header: [`include/linux/exportfs.h`](srctree/include/linux/exportfs.h)

use crate::{
    bindings,
    dentry::Dentry,
    errno::WithReason,
    inode::Inode,
    namei,
    super_block::SuperBlock,
    FileSystem,
    Ref, //
};
use core::{
    marker::PhantomData,
    slice, //
};
use kernel::{
    error::{
        from_err_ptr,
        VTABLE_DEFAULT_ERROR, //
    },
    prelude::*, //
};

/// The operations of `struct export_operations`.
///
/// They are called without locks and may sleep, but [`encode_fh`](Self::encode_fh) also where an
/// event is reported under the `i_rwsem` of the directory that it happened in.
#[vtable]
pub trait Operations {
    /// Whose handles these are.
    type FileSystem: FileSystem;

    /// Makes the handle of an inode, which may have no name in the dcache; where `parent` is given,
    /// one that leads to this directory of it as well (a *connectable* one).
    ///
    /// Writes it to `handle` if it fits there; the caller asks again with more room otherwise.
    /// Returns `None` where there can be no handle.
    fn encode_fh(
        inode: &Inode<Self::FileSystem>,
        handle: &mut [u8],
        parent: Option<&Inode<Self::FileSystem>>,
    ) -> Option<Encoded>;

    /// Finds the object of a handle, which may have any bytes.
    ///
    /// A dentry that is negative or of another mount is taken for `ESTALE`, which is the error for a
    /// handle without an object; callers make it of all others but `ENOMEM`.
    fn fh_to_dentry<'a>(
        _sb: &'a SuperBlock<Self::FileSystem>,
        _handle: Handle<'_>,
    ) -> Found<'a, Self::FileSystem> {
        build_error!(VTABLE_DEFAULT_ERROR)
    }

    /// Finds the directory that a connectable handle leads to. Errors are as for
    /// [`fh_to_dentry`](Self::fh_to_dentry).
    fn fh_to_parent<'a>(
        _sb: &'a SuperBlock<Self::FileSystem>,
        _handle: Handle<'_>,
    ) -> Found<'a, Self::FileSystem> {
        build_error!(VTABLE_DEFAULT_ERROR)
    }
}

/// A file handle that was made.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Encoded {
    /// The type (`enum fid_type`).
    pub kind: u8,
    /// The length in bytes, a multiple of four, whether it did fit or not.
    pub len: usize,
}

/// A file handle as somebody sent it.
#[derive(Clone, Copy, Debug)]
pub struct Handle<'a> {
    /// The type (`enum fid_type`).
    pub kind: i32,
    /// The bytes, a multiple of four.
    pub bytes: &'a [u8],
}

impl<F: FileSystem> Inode<F> {
    /// A dentry of the inode, if there is one (`d_find_any_alias()`); of a directory, its only one.
    pub fn any_alias(&self) -> Option<Ref<'_, Dentry<F>>> {
        // SAFETY: Valid by the type invariant; the function takes the locks that it needs.
        let dentry = unsafe { bindings::d_find_any_alias(self.as_raw()) };
        // SAFETY: Null, or a new reference to a dentry of the same file system.
        (!dentry.is_null()).then(|| unsafe { Dentry::from_raw_owned(dentry) })
    }
}

impl<'a, F: FileSystem> Ref<'a, Inode<F>> {
    /// As [`Inode::any_alias`], for as long as this reference may be kept.
    pub fn any_alias(&self) -> Option<Ref<'a, Dentry<F>>> {
        let dentry = Ref::into_raw(Inode::any_alias(self)?);
        // SAFETY: The reference is passed on; it is of the same file system as this one.
        Some(unsafe { Ref::from_raw(dentry) })
    }
}

impl<F: FileSystem> Dentry<F> {
    /// A dentry of `inode`: any that it has, or a new one that is disconnected (`d_obtain_alias()`).
    pub fn obtain_alias(inode: Ref<'_, Inode<F>>) -> Result<Ref<'_, Self>> {
        let inode = Ref::into_raw(inode).as_ptr().cast();
        // SAFETY: The inode is valid, and its reference is passed on, also if this fails.
        let dentry = from_err_ptr(unsafe { bindings::d_obtain_alias(inode) })?;
        // SAFETY: A new reference to a dentry of the same file system.
        Ok(unsafe { Self::from_raw_owned(dentry) })
    }
}

impl<F: FileSystem> Ref<'_, Dentry<F>> {
    /// Looks `name` up in this directory to connect what a handle was decoded to, which needs no
    /// permission to search the directory: it is for callers of [`Operations::fh_to_dentry`] only,
    /// after a check that the caller may have handles decoded (`MayDecode` of the crate `stacking`;
    /// `lookup_noperm_unlocked()`). The result may be negative.
    ///
    /// Takes the directory's `i_rwsem`. `ENOTDIR` if it is no directory.
    pub fn lookup_to_connect(&self, name: &[u8]) -> Result<Self> {
        if !self.can_lookup() {
            return Err(ENOTDIR);
        }
        let mut qstr = namei::qstr(name)?;
        // SAFETY: The dentry is a directory, and its type does not change; the name is not kept.
        let dentry = unsafe { bindings::lookup_noperm_unlocked(&mut qstr, self.as_raw()) };
        let dentry = from_err_ptr(dentry)?;
        // SAFETY: A new reference to a dentry of the same file system.
        Ok(unsafe { Dentry::from_raw_owned(dentry) })
    }
}

/// The table of an implementation of [`Operations`].
pub struct Table<T: Operations>(PhantomData<T>);

impl<T: Operations> Table<T> {
    /// # Safety
    ///
    /// To be called by the VFS only, with an inode of `T::FileSystem`, `*words` words of room, and
    /// null or another inode of the file system.
    unsafe extern "C" fn encode_fh_callback(
        inode: *mut bindings::inode,
        fh: *mut u32,
        words: *mut c_int,
        parent: *mut bindings::inode,
    ) -> c_int {
        // CAST: a constant that fits.
        const INVALID: c_int = bindings::rvfs_const_RVFS_FILEID_INVALID as c_int;
        // SAFETY: By the safety requirements.
        let inode = unsafe { Inode::from_raw(inode) };
        // SAFETY: By the safety requirements; the caller holds a reference on it.
        let parent = (!parent.is_null()).then(|| unsafe { Inode::from_raw(parent) });
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
        let Some(encoded) = T::encode_fh(inode, handle, parent) else {
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

    /// # Safety
    ///
    /// To be called by the VFS only, with a super block of `T::FileSystem` and a handle of `words`
    /// words.
    unsafe extern "C" fn fh_to_dentry_callback(
        sb: *mut bindings::super_block,
        fid: *mut bindings::fid,
        words: c_int,
        kind: c_int,
    ) -> *mut bindings::dentry {
        // SAFETY: By the safety requirements.
        unsafe { decode(sb, fid, words, kind, T::fh_to_dentry) }
    }

    /// # Safety
    ///
    /// As for [`fh_to_dentry_callback`](Self::fh_to_dentry_callback).
    unsafe extern "C" fn fh_to_parent_callback(
        sb: *mut bindings::super_block,
        fid: *mut bindings::fid,
        words: c_int,
        kind: c_int,
    ) -> *mut bindings::dentry {
        // SAFETY: By the safety requirements.
        unsafe { decode(sb, fid, words, kind, T::fh_to_parent) }
    }

    const OPS: bindings::export_operations = bindings::export_operations {
        encode_fh: Some(Self::encode_fh_callback),
        fh_to_dentry: if T::HAS_FH_TO_DENTRY {
            Some(Self::fh_to_dentry_callback)
        } else {
            None
        },
        fh_to_parent: if T::HAS_FH_TO_PARENT {
            Some(Self::fh_to_parent_callback)
        } else {
            None
        },
        ..pin_init::zeroed()
    };

    /// The table as C wants it.
    pub(crate) const TABLE: &'static bindings::export_operations = &Self::OPS;
}

/// What a handle is decoded to.
pub type Found<'a, F> = Result<Ref<'a, Dentry<F>>>;

/// Has `find` decode a handle, and gives C what it may use: a positive dentry of `sb`.
///
/// # Safety
///
/// `sb` must be a super block of `F` that is mounted, `fid` must have `words` words.
unsafe fn decode<F: FileSystem>(
    sb: *mut bindings::super_block,
    fid: *mut bindings::fid,
    words: c_int,
    kind: c_int,
    find: for<'a> fn(&'a SuperBlock<F>, Handle<'_>) -> Found<'a, F>,
) -> *mut bindings::dentry {
    // SAFETY: By the safety requirements.
    let sb = unsafe { SuperBlock::<F>::from_raw(sb) };
    let len = usize::try_from(words).unwrap_or(0).saturating_mul(4);
    // SAFETY: By the safety requirements; bytes are aligned anywhere.
    let bytes = unsafe { slice::from_raw_parts(fid.cast_const().cast::<u8>(), len) };
    let found = find(sb, Handle { kind, bytes }).and_then(|dentry| {
        if dentry.is_negative() || !core::ptr::eq(dentry.sb(), sb) {
            return Err(ESTALE);
        }
        Ok(dentry)
    });
    match found {
        Ok(dentry) => Ref::into_raw(dentry).as_ptr().cast(),
        Err(err) => err.class().to_ptr(),
    }
}
