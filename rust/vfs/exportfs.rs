// SPDX-License-Identifier: GPL-2.0

//! File handles of layers.
//!
//! C header: [`include/linux/exportfs.h`](srctree/include/linux/exportfs.h)

use crate::{
    bindings,
    cred::AsMounter,
    dentry::Dentry,
    inode::Inode,
    mount::Mount,
    Layer, //
};
use core::ptr;
use kernel::{
    error::from_err_ptr,
    prelude::*,
    sync::aref::ARef, //
};

/// The length of the longest identification that a file system makes (`MAX_HANDLE_SZ`).
const MAX_LEN: usize = bindings::rvfs_const_RVFS_MAX_HANDLE_SZ as usize;

/// How a file system identifies one of its inodes (`struct fid`).
#[repr(C, align(8))]
pub struct Fid {
    // First, so that it is aligned: file systems read it as words.
    bytes: [u8; MAX_LEN],
    len: usize,
    kind: c_int,
}

impl Fid {
    /// Makes one from bytes that were stored. Returns `ESTALE` for more than any file system makes.
    #[inline]
    pub fn new(kind: i32, from: &[u8]) -> Result<Self> {
        let mut bytes = [0; MAX_LEN];
        bytes
            .get_mut(..from.len())
            .ok_or(ESTALE)?
            .copy_from_slice(from);
        Ok(Self {
            bytes,
            len: from.len(),
            kind,
        })
    }

    /// Which of the ways of its file system was used (`enum fid_type`).
    pub fn kind(&self) -> i32 {
        self.kind
    }

    /// The bytes, a multiple of four.
    pub fn bytes(&self) -> &[u8] {
        self.bytes.get(..self.len).unwrap_or_default()
    }
}

impl Inode<Layer> {
    /// Identifies an inode of a layer (`exportfs_encode_inode_fh()`), without its directory.
    ///
    /// Returns `EIO` where its file system cannot.
    // Inline, so that the identification is made in its place and not copied there.
    #[inline]
    pub fn encode_fid(&self, _as_mounter: &AsMounter) -> Result<Fid> {
        let mut fid = Fid::new(0, &[])?;
        // CAST: a small constant.
        let mut words = (MAX_LEN / 4) as c_int;
        // SAFETY: The inode is valid by its type invariant; the buffer is aligned to words and has
        // that many of them.
        fid.kind = unsafe {
            bindings::exportfs_encode_inode_fh(
                self.as_raw(),
                fid.bytes.as_mut_ptr().cast(),
                &mut words,
                ptr::null_mut(),
                0,
            )
        };
        if fid.kind < 0 || fid.kind == bindings::rvfs_const_RVFS_FILEID_INVALID as c_int {
            return Err(EIO);
        }
        fid.len = usize::try_from(words)
            .ok()
            .and_then(|words| words.checked_mul(4))
            .filter(|len| *len <= MAX_LEN)
            .ok_or(EIO)?;
        Ok(fid)
    }
}

impl AsMounter {
    /// Whether the mounter may decode file handles (`CAP_DAC_READ_SEARCH`).
    pub fn may_decode_fids(&self) -> bool {
        // SAFETY: Looks at the current credentials, which are the mounter's. CAST: small.
        unsafe { bindings::capable(bindings::CAP_DAC_READ_SEARCH as c_int) }
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

/// Whether `dentry`, if it is a directory, lies below the root of the mount `mount`.
///
/// # Safety
///
/// To be called by `exportfs_decode_fh()` only, with a referenced dentry of a layer's file system and
/// the mount that [`Mount::decode_fid`] gave.
unsafe extern "C" fn is_in_layer(mount: *mut c_void, dentry: *mut bindings::dentry) -> c_int {
    // SAFETY: By the safety requirements.
    let dentry = unsafe { Dentry::<Layer>::from_raw(dentry) };
    // SAFETY: By the safety requirements.
    let mount = unsafe { &*mount.cast_const().cast::<Mount>() };
    let accepted = !dentry.is_dir() || (!dentry.is_unhashed() && dentry.is_subdir_of(mount.root()));
    c_int::from(accepted)
}

impl Mount {
    /// Finds the object of a layer that `fid` identifies (`exportfs_decode_fh()`).
    ///
    /// Looking for the names of a directory that is not in the cache takes the `i_rwsem` of its
    /// parents. Returns `ESTALE` where there is no such object.
    pub fn decode_fid(
        &self,
        as_mounter: &AsMounter,
        fid: &Fid,
        accept: Accept,
    ) -> Result<ARef<Dentry<Layer>>> {
        if !as_mounter.may_decode_fids() {
            return Err(EPERM);
        }
        // SAFETY: The mount is valid, also as what the callback gets; the buffer is aligned to words
        // and has that many of them; file systems check what is in it, and do not change it.
        let dentry = from_err_ptr(unsafe {
            bindings::exportfs_decode_fh(
                self.as_raw(),
                fid.bytes.as_ptr().cast_mut().cast(),
                // CAST: at most `MAX_LEN` / 4.
                (fid.len / 4) as c_int,
                fid.kind,
                match accept {
                    Accept::Any => None,
                    Accept::InLayer => Some(is_in_layer),
                },
                ptr::from_ref(self).cast_mut().cast(),
            )
        })?;
        // SAFETY: A new reference to a dentry of the layer's file system.
        let dentry: ARef<Dentry<Layer>> = unsafe { Dentry::from_raw_owned(dentry) };
        dentry.inode().ok_or(ESTALE)?;
        Ok(dentry)
    }
}
