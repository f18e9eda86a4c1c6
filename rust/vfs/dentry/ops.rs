// SPDX-License-Identifier: GPL-2.0

//! `struct dentry_operations`.

use super::Dentry;
use crate::{
    bindings,
    errno::from_result,
    layers::Layers,
    FileSystem,
    Foreign, //
};
use core::marker::PhantomData;
use kernel::{
    error::VTABLE_DEFAULT_ERROR,
    prelude::*, //
};

/// What `d_real()` asks for (`enum d_real_type`).
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum RealKind {
    /// The dentry that holds the data.
    Data,
    /// The dentry that holds the metadata.
    Metadata,
}

/// The operations of `struct dentry_operations`.
#[vtable]
pub trait Operations {
    /// Whose dentries these are.
    type FileSystem: FileSystem;

    /// The layer's dentry that stands for this one, or `None` where it stands for itself, as it does where
    /// that of the layer is negative.
    ///
    /// Must not sleep for [`RealKind::Metadata`].
    fn d_real(_dentry: &Dentry<Self::FileSystem>, _kind: RealKind) -> Option<&Dentry<Foreign>> {
        build_error!(VTABLE_DEFAULT_ERROR)
    }
}

/// Revalidation by the layers, if there are any.
///
/// # Safety
///
/// See [`Layers::revalidate`].
#[inline]
unsafe fn revalidate<F: FileSystem>(
    dentry: *mut bindings::dentry,
    flags: u32,
    weak: bool,
) -> Result<c_int> {
    // SAFETY: By the safety requirements.
    unsafe { F::Layers::revalidate::<F>(dentry, flags, weak) }
}

/// The table of an implementation of [`Operations`].
pub struct Table<T: Operations>(PhantomData<T>);

impl<T: Operations> Table<T> {
    /// # Safety
    ///
    /// To be called by the VFS only: `dentry` is a referenced dentry of `T::FileSystem`.
    unsafe extern "C" fn d_real_callback(
        dentry: *mut bindings::dentry,
        kind: bindings::d_real_type,
    ) -> *mut bindings::dentry {
        let kind_rust = if kind == bindings::d_real_type_D_REAL_DATA {
            RealKind::Data
        } else {
            RealKind::Metadata
        };
        // SAFETY: By the safety requirements.
        let this = unsafe { Dentry::<T::FileSystem>::from_raw(dentry) };
        match T::d_real(this, kind_rust) {
            // Callers use the inode without a look.
            // SAFETY: A valid dentry of a layer, which may itself be a stacked one.
            Some(real) if real.inode().is_some() => unsafe {
                bindings::rvfs_d_real(real.as_raw(), kind)
            },
            _ => dentry,
        }
    }

    /// # Safety
    ///
    /// To be called by the VFS only, with the arguments of `->d_revalidate`.
    unsafe extern "C" fn d_revalidate_callback(
        _dir: *mut bindings::inode,
        _name: *const bindings::qstr,
        dentry: *mut bindings::dentry,
        flags: c_uint,
    ) -> c_int {
        // SAFETY: By the safety requirements.
        from_result(|| unsafe { revalidate::<T::FileSystem>(dentry, flags, false) })
    }

    /// # Safety
    ///
    /// To be called by the VFS only, with the arguments of `->d_weak_revalidate`.
    unsafe extern "C" fn d_weak_revalidate_callback(
        dentry: *mut bindings::dentry,
        flags: c_uint,
    ) -> c_int {
        // SAFETY: By the safety requirements.
        from_result(|| unsafe { revalidate::<T::FileSystem>(dentry, flags, true) })
    }

    const OPS: bindings::dentry_operations = bindings::dentry_operations {
        d_real: if T::HAS_D_REAL {
            Some(Self::d_real_callback)
        } else {
            None
        },
        d_revalidate: Some(Self::d_revalidate_callback),
        d_weak_revalidate: Some(Self::d_weak_revalidate_callback),
        ..pin_init::zeroed()
    };

    const CASEFOLD_OPS: bindings::dentry_operations = bindings::dentry_operations {
        #[cfg(CONFIG_UNICODE)]
        d_hash: Some(bindings::generic_ci_d_hash),
        #[cfg(CONFIG_UNICODE)]
        d_compare: Some(bindings::generic_ci_d_compare),
        ..Self::OPS
    };

    /// The table as C wants it.
    pub(crate) const TABLE: &'static bindings::dentry_operations = &Self::OPS;

    /// The table for layers that fold the case of names.
    pub(crate) const CASEFOLD_TABLE: &'static bindings::dentry_operations = &Self::CASEFOLD_OPS;
}
