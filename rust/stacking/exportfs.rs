// SPDX-License-Identifier: GPL-2.0

//! File handles of layers.
//!
//! C header: [`include/linux/exportfs.h`](srctree/include/linux/exportfs.h)

use crate::{
    cred::AsMounter,
    path::LayerPath, //
};
use core::ptr;
use kernel::{
    error::from_err_ptr,
    prelude::*, //
};
use vfs::{
    bindings,
    dentry::Dentry,
    inode::Inode,
    Foreign,
    Ref, //
};

/// The length of the longest identification that a file system makes (`MAX_HANDLE_SZ`).
pub const MAX_LEN: usize = bindings::rvfs_const_RVFS_MAX_HANDLE_SZ as usize;

/// An inode of a layer, which has to be found again.
pub trait ForeignHandle {
    /// Identifies an inode of a layer (`exportfs_encode_inode_fh()`), without its directory: writes
    /// that to `fid`, which is on a boundary of words, and returns its type (`enum fid_type`) and its
    /// length, a multiple of four.
    ///
    /// Returns `EIO` where its file system cannot.
    fn encode_fid(&self, as_mounter: &AsMounter, fid: &mut [u8; MAX_LEN]) -> Result<(i32, usize)>;
}

impl ForeignHandle for Inode<Foreign> {
    #[inline]
    fn encode_fid(&self, _as_mounter: &AsMounter, fid: &mut [u8; MAX_LEN]) -> Result<(i32, usize)> {
        let fid: *mut bindings::fid = fid.as_mut_ptr().cast();
        if !fid.cast::<u32>().is_aligned() {
            return Err(EIO);
        }
        // CAST: a small constant.
        let mut words = (MAX_LEN / 4) as c_int;
        // SAFETY: The inode is valid by its type invariant; the buffer is aligned to words and has
        // that many of them.
        let kind = unsafe {
            bindings::exportfs_encode_inode_fh(self.as_raw(), fid, &mut words, ptr::null_mut(), 0)
        };
        if kind < 0 || kind == bindings::rvfs_const_RVFS_FILEID_INVALID as c_int {
            return Err(EIO);
        }
        let len = usize::try_from(words)?.checked_mul(4);
        Ok((kind, len.filter(|len| *len <= MAX_LEN).ok_or(EIO)?))
    }
}

/// Somebody may have file handles decoded (`CAP_DAC_READ_SEARCH` in the initial user namespace),
/// without a look at the permissions of directories on the way.
#[derive(Clone, Copy)]
pub struct MayDecode(());

impl MayDecode {
    /// Whether the caller may.
    pub fn by_caller() -> Option<Self> {
        // SAFETY: Looks at the current credentials. CAST: small.
        let capable = unsafe { bindings::capable(bindings::CAP_DAC_READ_SEARCH as c_int) };
        capable.then_some(Self(()))
    }

    /// Whether the mounter may.
    pub fn by_mounter(_as_mounter: &AsMounter) -> Option<Self> {
        // The current credentials are the mounter's.
        Self::by_caller()
    }
}

/// What a decoded object has to be.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Accept {
    /// Anything: it may lie outside of the layer, and its dentry may not be connected to the root.
    Any,
    /// If it is a directory, then one of the layer, which has not been removed. Its dentry is
    /// connected to the root.
    InLayer,
}

/// Whether `dentry`, if it is a directory, lies below the root `root` of a layer.
///
/// # Safety
///
/// To be called by `exportfs_decode_fh()` only, with a referenced dentry of a layer's file system and
/// the root that [`DecodeFid::decode_fid`] gave.
unsafe extern "C" fn is_in_layer(root: *mut c_void, dentry: *mut bindings::dentry) -> c_int {
    // SAFETY: By the safety requirements.
    let dentry = unsafe { Dentry::<Foreign>::from_raw(dentry) };
    // SAFETY: By the safety requirements.
    let root = unsafe { Dentry::<Foreign>::from_raw(root.cast()) };
    let accepted = !dentry.is_dir() || (!dentry.is_unhashed() && dentry.is_subdir_of(root));
    c_int::from(accepted)
}

/// The root of a layer whose objects are found by what identifies them.
pub trait DecodeFid<'a> {
    /// Finds the object of a layer that its file system has identified by `fid` with the type `kind`
    /// (`exportfs_decode_fh()`).
    ///
    /// Looking for the names of a directory that is not in the cache takes the `i_rwsem` of its
    /// parents. Returns `ESTALE` where there is no such object.
    fn decode_fid(
        &self,
        as_mounter: &AsMounter,
        may_decode: MayDecode,
        fid: (i32, &[u8]),
        accept: Accept,
    ) -> Result<Ref<'a, Dentry<Foreign>>>;
}

impl<'a> DecodeFid<'a> for LayerPath<'a> {
    fn decode_fid(
        &self,
        as_mounter: &AsMounter,
        _may_decode: MayDecode,
        (kind, fid): (i32, &[u8]),
        accept: Accept,
    ) -> Result<Ref<'a, Dentry<Foreign>>> {
        as_mounter.check()?;
        if fid.as_ptr().cast::<u32>().is_aligned() {
            return decode_aligned(*self, kind, fid, accept);
        }
        let mut aligned = Aligned([0; MAX_LEN]);
        let place = aligned.0.get_mut(..fid.len()).ok_or(ESTALE)?;
        place.copy_from_slice(fid);
        decode_aligned(*self, kind, place, accept)
    }
}

/// [`DecodeFid::decode_fid`] of what is on a boundary of words.
#[inline]
fn decode_aligned<'a>(
    root: LayerPath<'a>,
    kind: i32,
    fid: &[u8],
    accept: Accept,
) -> Result<Ref<'a, Dentry<Foreign>>> {
    if !fid.as_ptr().cast::<u32>().is_aligned() {
        return Err(ESTALE);
    }
    let words = c_int::try_from(fid.len() / 4)?;
    // SAFETY: The mount is valid, and the dentry that the callback gets; the buffer is aligned to words
    // and has that many of them; file systems check what is in it, and do not change it.
    let dentry = from_err_ptr(unsafe {
        bindings::exportfs_decode_fh(
            root.mount.as_raw(),
            fid.as_ptr().cast_mut().cast(),
            words,
            kind,
            match accept {
                Accept::Any => None,
                Accept::InLayer => Some(is_in_layer),
            },
            root.dentry.as_raw().cast(),
        )
    })?;
    // SAFETY: A new reference to a dentry of the layer's file system.
    let dentry: Ref<'_, Dentry<Foreign>> = unsafe { Dentry::from_raw_owned(dentry) };
    dentry.inode().ok_or(ESTALE)?;
    Ok(dentry)
}

/// Bytes on a boundary of words.
#[repr(C, align(4))]
struct Aligned([u8; MAX_LEN]);
