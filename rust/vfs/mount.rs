// SPDX-License-Identifier: GPL-2.0

//! Mounts, and how they map ids.
//!
//! C header: [`include/linux/mount.h`](srctree/include/linux/mount.h)

use crate::{
    bindings,
    dentry::Dentry,
    super_block::SuperBlock,
    Foreign,
    Ref, //
};
use core::marker::PhantomData;
use kernel::{
    prelude::*,
    types::Opaque, //
};

/// The id mapping of a mount (`struct mnt_idmap`).
///
/// # Invariants
///
/// `raw` is valid for `'a`.
#[derive(Clone, Copy)]
pub struct Idmap<'a> {
    raw: *mut bindings::mnt_idmap,
    _life: PhantomData<&'a ()>,
}

impl Idmap<'_> {
    /// Makes one from a raw pointer.
    ///
    /// # Safety
    ///
    /// `raw` must be valid for the lifetime that the caller chooses.
    #[inline]
    pub unsafe fn from_raw(raw: *mut bindings::mnt_idmap) -> Self {
        // INVARIANT: By the safety requirements.
        Self {
            raw,
            _life: PhantomData,
        }
    }

    /// The raw pointer.
    #[inline]
    pub fn as_raw(&self) -> *mut bindings::mnt_idmap {
        self.raw
    }

    /// Whether all ids stay what they are (`nop_mnt_idmap`).
    #[inline]
    pub fn is_nop(&self) -> bool {
        // Only its address is used.
        core::ptr::eq(self.raw, &raw const bindings::nop_mnt_idmap)
    }

    /// Whether the two are the same. What maps in the same way may be another one.
    pub fn is(&self, other: &Idmap<'_>) -> bool {
        core::ptr::eq(self.raw, other.raw)
    }
}

/// `struct vfsmount`.
///
/// # Invariants
///
/// Valid as long as it is borrowed.
#[repr(transparent)]
pub struct Mount(Opaque<bindings::vfsmount>);

// SAFETY: A mount may be used and put in any task.
unsafe impl Send for Mount {}
// SAFETY: What a shared reference reads is constant for a private mount, or synchronised by C.
unsafe impl Sync for Mount {}

impl Mount {
    /// Makes a reference from a raw pointer.
    ///
    /// # Safety
    ///
    /// `ptr` must be valid for `'a`.
    #[inline]
    pub unsafe fn from_raw<'a>(ptr: *mut bindings::vfsmount) -> &'a Self {
        // SAFETY: By the safety requirements; the type is transparent.
        unsafe { &*ptr.cast() }
    }

    /// The raw pointer.
    #[inline]
    pub fn as_raw(&self) -> *mut bindings::vfsmount {
        self.0.get()
    }

    /// The root of the mount.
    #[inline]
    pub fn root(&self) -> &Dentry<Foreign> {
        // SAFETY: A mount pins its root, which is constant.
        unsafe { Dentry::from_raw((*self.as_raw()).mnt_root) }
    }

    /// The super block.
    #[inline]
    pub fn sb(&self) -> &SuperBlock<Foreign> {
        // SAFETY: A mount pins its super block, which is constant.
        unsafe { SuperBlock::from_raw((*self.as_raw()).mnt_sb) }
    }

    /// The id mapping.
    #[inline]
    pub fn idmap(&self) -> Idmap<'_> {
        // SAFETY: The mount is valid by the type invariant.
        let idmap = unsafe { (&raw const (*self.as_raw()).mnt_idmap).read_volatile() };
        // SAFETY: A private mount keeps its mapping.
        unsafe { Idmap::from_raw(idmap) }
    }

    /// `dentry`, for as long as this mount keeps its file system mounted. Returns `EXDEV` for one of
    /// another file system.
    #[inline]
    pub fn adopt<'a>(
        &'a self,
        dentry: Ref<'_, Dentry<Foreign>>,
    ) -> Result<Ref<'a, Dentry<Foreign>>> {
        if !self.sb().is(dentry.layer_sb()) {
            return Err(EXDEV);
        }
        // SAFETY: The reference is passed on. A mount that is borrowed for `'a` keeps its super block
        // as long.
        Ok(unsafe { Ref::from_raw(Ref::into_raw(dentry)) })
    }

    /// Whether the mount is id-mapped (`is_idmapped_mnt()`).
    #[inline]
    pub fn is_idmapped(&self) -> bool {
        !self.idmap().is_nop()
    }
}
