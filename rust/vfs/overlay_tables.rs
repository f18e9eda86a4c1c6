// SPDX-License-Identifier: GPL-2.0

//! The overlay's table of mount options and its module parameters, which only C macros can make.
//!
//! See `overlay_tables.c`. It is linked into modules that use this one only, which works because
//! functions that are `#[inline]` are compiled where they are called.

use crate::{
    bindings,
    fs_context::ParameterTable, //
};

/// A mount option, as `overlay_tables.c` numbers them.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[expect(missing_docs)]
pub enum Opt {
    Lowerdir,
    LowerdirAdd,
    DatadirAdd,
    Upperdir,
    Workdir,
    DefaultPermissions,
    RedirectDir,
    Index,
    Uuid,
    NfsExport,
    Userxattr,
    Xino,
    Metacopy,
    Verity,
    Fsync,
    Volatile,
    OverrideCreds,
    RequireRw,
}

impl Opt {
    /// The option with number `n`.
    #[inline]
    pub fn from_number(n: u32) -> Option<Self> {
        Some(match n {
            bindings::rvfs_overlay_opt_RVFS_OPT_LOWERDIR => Self::Lowerdir,
            bindings::rvfs_overlay_opt_RVFS_OPT_LOWERDIR_ADD => Self::LowerdirAdd,
            bindings::rvfs_overlay_opt_RVFS_OPT_DATADIR_ADD => Self::DatadirAdd,
            bindings::rvfs_overlay_opt_RVFS_OPT_UPPERDIR => Self::Upperdir,
            bindings::rvfs_overlay_opt_RVFS_OPT_WORKDIR => Self::Workdir,
            bindings::rvfs_overlay_opt_RVFS_OPT_DEFAULT_PERMISSIONS => Self::DefaultPermissions,
            bindings::rvfs_overlay_opt_RVFS_OPT_REDIRECT_DIR => Self::RedirectDir,
            bindings::rvfs_overlay_opt_RVFS_OPT_INDEX => Self::Index,
            bindings::rvfs_overlay_opt_RVFS_OPT_UUID => Self::Uuid,
            bindings::rvfs_overlay_opt_RVFS_OPT_NFS_EXPORT => Self::NfsExport,
            bindings::rvfs_overlay_opt_RVFS_OPT_USERXATTR => Self::Userxattr,
            bindings::rvfs_overlay_opt_RVFS_OPT_XINO => Self::Xino,
            bindings::rvfs_overlay_opt_RVFS_OPT_METACOPY => Self::Metacopy,
            bindings::rvfs_overlay_opt_RVFS_OPT_VERITY => Self::Verity,
            bindings::rvfs_overlay_opt_RVFS_OPT_FSYNC => Self::Fsync,
            bindings::rvfs_overlay_opt_RVFS_OPT_VOLATILE => Self::Volatile,
            bindings::rvfs_overlay_opt_RVFS_OPT_OVERRIDE_CREDS => Self::OverrideCreds,
            bindings::rvfs_overlay_opt_RVFS_OPT_REQUIRE_RW => Self::RequireRw,
            _ => return None,
        })
    }
}

/// The table of the overlay's mount options.
#[inline]
pub fn parameters() -> ParameterTable {
    // SAFETY: A constant table with a terminator, in the module itself.
    unsafe { ParameterTable::from_raw((&raw const bindings::rvfs_overlay_parameters).cast()) }
}

/// The current value of each module parameter.
pub mod module_parameters {
    use crate::bindings;

    /// Makes the functions; all `#[inline]`, see the head of the file.
    macro_rules! parameters {
        ($($(#[$doc:meta])* $name:ident: $kind:ty = $read:ident;)*) => {$(
            $(#[$doc])*
            #[inline]
            pub fn $name() -> $kind {
                // SAFETY: Reads a variable once.
                <$kind>::from(unsafe { bindings::$read() })
            }
        )*};
    }

    parameters! {
        /// `redirect_dir`
        redirect_dir: bool = rvfs_param_redirect_dir;
        /// `redirect_always_follow`
        redirect_always_follow: bool = rvfs_param_redirect_always_follow;
        /// `redirect_max`, a number of bytes.
        redirect_max: usize = rvfs_param_redirect_max;
        /// `xino_auto`
        xino_auto: bool = rvfs_param_xino_auto;
        /// `index`
        index: bool = rvfs_param_index;
        /// `nfs_export`
        nfs_export: bool = rvfs_param_nfs_export;
        /// `metacopy`
        metacopy: bool = rvfs_param_metacopy;
    }
}
