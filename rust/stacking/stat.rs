// SPDX-License-Identifier: GPL-2.0

//! Attributes of objects of layers.
//!
//! C header: [`include/linux/stat.h`](srctree/include/linux/stat.h)

use crate::{
    cred::AsMounter,
    path::LayerPath, //
};
use core::mem::MaybeUninit;
use kernel::prelude::*;
use vfs::{
    bindings,
    errno::to_result,
    stat::{
        Kstat,
        StatRequest, //
    }, //
};

/// Attributes of an object of a layer.
pub trait KstatExt {
    /// Fills it in from a layer, without the security hooks that the VFS has called already.
    fn fill_from_layer(
        &mut self,
        as_mounter: &AsMounter,
        path: LayerPath<'_>,
        request: StatRequest,
    ) -> Result;
}

impl KstatExt for Kstat {
    fn fill_from_layer(
        &mut self,
        _as_mounter: &AsMounter,
        path: LayerPath<'_>,
        request: StatRequest,
    ) -> Result {
        path.dentry.inode().ok_or(ENOENT)?;
        // SAFETY: The path is valid and positive, and the buffer ours.
        to_result(unsafe {
            bindings::vfs_getattr_nosec(
                &path.to_raw(),
                self.as_raw_mut(),
                request.mask,
                request.flags,
            )
        })
    }
}

impl LayerPath<'_> {
    /// The attributes of an object of a layer, for the mounter (`vfs_getattr()`).
    // Inline, so that the attributes are made in their place and not copied there.
    #[inline]
    pub fn getattr(&self, _as_mounter: &AsMounter, request: StatRequest) -> Result<Kstat> {
        self.dentry.inode().ok_or(ENOENT)?;
        let mut stat = MaybeUninit::<bindings::kstat>::uninit();
        let (mask, flags) = (request.mask, request.flags);
        // SAFETY: The path is valid and positive, and the buffer local.
        to_result(unsafe {
            bindings::vfs_getattr(&self.to_raw(), stat.as_mut_ptr(), mask, flags)
        })?;
        // SAFETY: Where it does not fail, `vfs_getattr()` has zeroed it first.
        Ok(Kstat::new(unsafe { stat.assume_init() }))
    }

    /// As [`getattr`](Self::getattr), where security hooks have been called for the overlay's own
    /// object (`vfs_getattr_nosec()`).
    #[inline]
    pub fn getattr_nosec(&self, as_mounter: &AsMounter, request: StatRequest) -> Result<Kstat> {
        let mut stat = Kstat::new(bindings::kstat::default());
        stat.fill_from_layer(as_mounter, *self, request)?;
        Ok(stat)
    }
}
