// SPDX-License-Identifier: GPL-2.0

//! `struct dentry_operations`.

use super::Dentry;
use crate::{
    bindings,
    errno::from_result,
    layers::Layers,
    super_block::SuperBlock,
    FileSystem,
    Foreign, //
};
use core::{
    marker::PhantomData,
    sync::atomic::{
        AtomicUsize,
        Ordering, //
    }, //
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

    /// The layer's dentry that stands for this one, or `None` where it stands for itself, as it does where
    /// that of the layer is negative.
    ///
    /// Must not sleep for [`RealKind::Metadata`].
    fn d_real(_dentry: &Dentry<Self::FileSystem>, _kind: RealKind) -> Option<&Dentry<Foreign>> {
        build_error!(VTABLE_DEFAULT_ERROR)
    }

    /// Finds out whether the name of a dentry that was found in other layers leads to the same object in those that
    /// there are now, and takes that over where it does. `false` if it leads elsewhere.
    ///
    /// With `weak` it was not walked to by its name: then that decides over nothing. May sleep. It is called where the layers of
    /// a mount may become others ([`Layers::always_asks`]), with or without the lock of the directory.
    fn renew(_dentry: &Dentry<Self::FileSystem>, _weak: bool) -> Result<bool> {
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

    /// What says of which layers that is true which is known of a dentry; anything when it changes meanwhile.
    ///
    /// # Safety
    ///
    /// See [`Layers::revalidate`].
    #[inline]
    unsafe fn word(dentry: *mut bindings::dentry) -> usize {
        // SAFETY: By the safety requirements valid, in RCU walk at least until the end of the RCU section. All who change
        // it do so atomically.
        let word = unsafe { AtomicUsize::from_ptr((&raw mut (*dentry).d_fsdata).cast()) };
        // ORDERING: See `Dentry::change_flag_word_if`.
        word.load(Ordering::Acquire)
    }

    /// Whether the word is true of the layers that there are.
    ///
    /// # Safety
    ///
    /// See [`Layers::revalidate`].
    #[inline]
    unsafe fn is_current(dentry: *mut bindings::dentry, word: usize) -> bool {
        // SAFETY: By the safety requirements; `d_sb` is constant, and whoever walks keeps the super block.
        let sb = unsafe { SuperBlock::<T::FileSystem>::from_raw((*dentry).d_sb) };
        let mounts = T::FileSystem::mounts(sb.data());
        <T::FileSystem as FileSystem>::Layers::is_current(mounts, word)
    }

    /// Whether it was found in the layers that there are, or is the same in these.
    ///
    /// # Safety
    ///
    /// See [`Layers::revalidate`].
    #[inline]
    unsafe fn is_right(dentry: *mut bindings::dentry) -> bool {
        // SAFETY: By the safety requirements.
        let word = unsafe { Self::word(dentry) };
        // SAFETY: By the safety requirements.
        if unsafe { Self::is_current(dentry, word) } {
            return true;
        }
        // SAFETY: By the safety requirements.
        unsafe { <T::FileSystem as FileSystem>::Layers::confirm::<T::FileSystem>(dentry) }
    }

    /// Whether nothing else has to be asked of a dentry with this word, which is current.
    ///
    /// # Safety
    ///
    /// See [`Layers::revalidate`].
    #[inline]
    unsafe fn is_all(dentry: *mut bindings::dentry, word: usize) -> bool {
        // SAFETY: As for the word, of a pointer that is only compared.
        let is_negative = || unsafe { (&raw const (*dentry).d_inode).read_volatile() }.is_null();
        <T::FileSystem as FileSystem>::Layers::is_only_current(word) || is_negative()
    }

    /// Revalidation of a dentry of a mount whose layers may become others.
    ///
    /// # Safety
    ///
    /// See [`Layers::revalidate`].
    #[inline]
    unsafe fn revalidate_changing(
        dentry: *mut bindings::dentry,
        flags: c_uint,
        weak: bool,
    ) -> c_int {
        // SAFETY: By the safety requirements.
        let word = unsafe { Self::word(dentry) };
        // SAFETY: By the safety requirements.
        if unsafe { Self::is_current(dentry, word) } {
            // SAFETY: By the safety requirements.
            if unsafe { Self::is_all(dentry, word) } {
                return 1;
            }
        }
        // SAFETY: By the safety requirements.
        unsafe { Self::look_again(dentry, flags, weak) }
    }

    /// The same, of what may have changed, or asks its layers.
    ///
    /// # Safety
    ///
    /// See [`Layers::revalidate`].
    // Apart, as each component of each path is asked: no register is saved for what is mostly not needed.
    #[inline(never)]
    unsafe fn look_again(dentry: *mut bindings::dentry, flags: c_uint, weak: bool) -> c_int {
        from_result(|| {
            // SAFETY: By the safety requirements.
            if !unsafe { Self::is_right(dentry) } {
                if flags & bindings::rvfs_const_RVFS_LOOKUP_RCU != 0 {
                    return Err(ECHILD);
                }
                // SAFETY: Without the flag it is referenced.
                let this = unsafe { Dentry::<T::FileSystem>::from_raw(dentry) };
                if !T::renew(this, weak)? && !weak {
                    return Ok(0);
                }
            }
            // SAFETY: By the safety requirements.
            let word = unsafe { Self::word(dentry) };
            // SAFETY: By the safety requirements.
            if unsafe { Self::is_all(dentry, word) } {
                return Ok(1);
            }
            // SAFETY: By the safety requirements.
            unsafe { revalidate::<T::FileSystem>(dentry, flags, weak) }
        })
    }

    /// # Safety
    ///
    /// To be called by the VFS only, with the arguments of `->d_revalidate`.
    unsafe extern "C" fn d_revalidate_changing_callback(
        _dir: *mut bindings::inode,
        _name: *const bindings::qstr,
        dentry: *mut bindings::dentry,
        flags: c_uint,
    ) -> c_int {
        // SAFETY: By the safety requirements.
        unsafe { Self::revalidate_changing(dentry, flags, false) }
    }

    /// # Safety
    ///
    /// To be called by the VFS only, with the arguments of `->d_weak_revalidate`.
    unsafe extern "C" fn d_weak_revalidate_changing_callback(
        dentry: *mut bindings::dentry,
        flags: c_uint,
    ) -> c_int {
        // SAFETY: By the safety requirements.
        unsafe { Self::revalidate_changing(dentry, flags, true) }
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

    const CHANGING_OPS: bindings::dentry_operations = bindings::dentry_operations {
        d_revalidate: Some(Self::d_revalidate_changing_callback),
        d_weak_revalidate: Some(Self::d_weak_revalidate_changing_callback),
        ..Self::OPS
    };

    const CHANGING_CASEFOLD_OPS: bindings::dentry_operations = bindings::dentry_operations {
        d_revalidate: Some(Self::d_revalidate_changing_callback),
        d_weak_revalidate: Some(Self::d_weak_revalidate_changing_callback),
        ..Self::CASEFOLD_OPS
    };

    /// The table as C wants it.
    pub(crate) const TABLE: &'static bindings::dentry_operations = &Self::OPS;

    /// The table for layers that fold the case of names.
    pub(crate) const CASEFOLD_TABLE: &'static bindings::dentry_operations = &Self::CASEFOLD_OPS;
}

impl<T: Operations> Table<T> {
    /// The tables of a mount whose layers may become others: without and with case folding.
    pub(crate) const CHANGING_TABLES: [&'static bindings::dentry_operations; 2] = {
        assert!(T::HAS_RENEW);
        [&Self::CHANGING_OPS, &Self::CHANGING_CASEFOLD_OPS]
    };
}
