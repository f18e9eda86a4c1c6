// SPDX-License-Identifier: GPL-2.0

//! `struct dentry_operations`.

use super::{
    Dentry,
    ONLY_WATCHED, //
};
use crate::{
    bindings,
    errno::from_result,
    inode::RcuInode,
    FileSystem,
    Foreign, //
};
use core::{
    marker::PhantomData,
    ptr, //
};
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

    /// The layer's dentry that stands for this one, or `None` where it stands for itself.
    ///
    /// Must not sleep for [`RealKind::Metadata`].
    fn d_real(_dentry: &Dentry<Self::FileSystem>, _kind: RealKind) -> Option<&Dentry<Foreign>> {
        build_error!(VTABLE_DEFAULT_ERROR)
    }
}

/// Revalidation of a stacked dentry: as long as all of its layers are valid, it is too.
///
/// The calls are made in the crate itself, because in RCU walk neither the overlay dentry nor those
/// of the layers may be referenced.
fn revalidate_layers<F: FileSystem>(
    dentry: *mut bindings::dentry,
    flags: u32,
    weak: bool,
) -> Result<c_int> {
    // SAFETY: `dentry` is valid for the callback, in RCU walk at least until the end of the RCU
    // section; `d_inode` is read once.
    let inode = unsafe { (&raw const (*dentry).d_inode).read_volatile() };
    if inode.is_null() {
        // Only a race with the end of the dentry, or with a lookup, shows a negative one here.
        return Err(ECHILD);
    }
    // SAFETY: The inode of a dentry that is in use or seen under RCU is not freed before the end
    // of this RCU section or of the caller's reference.
    let inode = unsafe { RcuInode::<F>::from_raw(inode) };
    let in_rcu_walk = flags & bindings::rvfs_const_RVFS_LOOKUP_RCU != 0;
    // Without the flag the dentry is referenced, and this may sleep.
    // SAFETY: As above.
    let is_in_use = || unsafe { bindings::rvfs_d_is_in_use(dentry, ptr::null()) };
    if !weak {
        if inode.is_lower_removed() {
            if in_rcu_walk {
                return Err(ECHILD);
            }
            return Ok(c_int::from(is_in_use()));
        }
        // SAFETY: As for `inode`.
        if unsafe { bindings::rvfs_d_fsdata_test_bit(dentry, ONLY_WATCHED) } {
            return Ok(1);
        }
    }
    for layer in inode.layer_dentries() {
        // SAFETY: Held by the inode, and freed by RCU only after that.
        let ret = unsafe { bindings::rvfs_revalidate(layer, flags, weak) };
        if ret == ESTALE.to_errno() && !in_rcu_walk && inode.is_lower_removed() && !is_in_use() {
            // The layer has just noticed. Another try would not get further.
            return Ok(0);
        }
        if ret <= 0 {
            return Ok(ret);
        }
    }
    Ok(1)
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
            // SAFETY: A valid dentry of a layer, which may itself be a stacked one.
            Some(real) => unsafe { bindings::rvfs_d_real(real.as_raw(), kind) },
            None => dentry,
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
        from_result(|| revalidate_layers::<T::FileSystem>(dentry, flags, false))
    }

    /// # Safety
    ///
    /// To be called by the VFS only, with the arguments of `->d_weak_revalidate`.
    unsafe extern "C" fn d_weak_revalidate_callback(
        dentry: *mut bindings::dentry,
        flags: c_uint,
    ) -> c_int {
        from_result(|| revalidate_layers::<T::FileSystem>(dentry, flags, true))
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
