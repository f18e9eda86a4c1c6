// SPDX-License-Identifier: GPL-2.0

//! Append-only and immutable.
//!
//! The upper inode must not be either, because then the overlay itself could neither move it to its
//! place nor set attributes of its own. They are kept in an extended attribute, `protattr`, and in the
//! flags of the overlay inode, which the VFS enforces.

use crate::{
    object::{
        log,
        reason,
        super_data::Super, //
    },
    Rovl, //
};
use kernel::bindings;
use ondisk::{
    protattr::{
        self,
        Protattr, //
    },
    xattr::Name, //
};
use stacking::{
    cred::AsMounter,
    path::LayerPath, //
};
use vfs::inode::NewInode;

/// The flags of an inode that `protattr` holds.
pub(crate) const PROTECTED_FLAGS: u32 = bindings::S_APPEND | bindings::S_IMMUTABLE;

/// The flags of an inode for `attr`.
pub(crate) fn inode_flags(attr: Protattr) -> u32 {
    let append = if attr.append { bindings::S_APPEND } else { 0 };
    let immutable = if attr.immutable {
        bindings::S_IMMUTABLE
    } else {
        0
    };
    append | immutable
}

/// Adds the flags that `protattr` of the upper object holds to those of a new inode.
///
/// An upper inode may have the flags itself, from a time when they were not kept apart.
pub(crate) fn load_protattr(
    m: &AsMounter,
    ofs: &Super,
    inode: &mut NewInode<'_, Rovl>,
    upper: LayerPath<'_>,
) {
    let flags = protected_flags(m, ofs, upper);
    inode.set_flags(flags, flags);
}

/// The flags that `protattr` of `upper`, in a layer that is or was the upper one, holds.
pub(crate) fn protected_flags(m: &AsMounter, ofs: &Super, upper: LayerPath<'_>) -> u32 {
    let mut value = [0; protattr::MAX_LEN];
    let Ok(len) = ofs.get_xattr(m, upper, Name::Protattr, &mut value) else {
        return 0;
    };
    match Protattr::parse(value.get(..len).unwrap_or_default()) {
        Ok(attr) => inode_flags(attr),
        Err(_) => {
            log::warn_dentry(
                c"incompatible overlay.protattr",
                upper.dentry,
                reason::FORMAT,
            );
            0
        }
    }
}
