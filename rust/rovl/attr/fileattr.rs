// SPDX-License-Identifier: GPL-2.0

//! File attributes, as chattr(1) sets them.
//!
//! The upper inode must not be append-only or immutable, because then the overlay itself could
//! neither move it to its place nor set attributes of its own. These two are kept in an extended
//! attribute, `protattr`, and in the flags of the overlay inode, which the VFS enforces.

use crate::{
    object::{
        current,
        entry::{
            DentryExt,
            InodeExt, //
        },
        inode::COPIED_FLAGS,
        protattr::PROTECTED_FLAGS,
        reason, //
    },
    observe::trace::Why,
    upper::{
        copy_up::copy_up,
        fileattr::store_protattr, //
    },
    Rovl, //
};
use kernel::{
    bindings,
    prelude::*, //
};
use stacking::prelude::*;
use vfs::{
    dentry::{
        Dentry,
        LockedDentry, //
    },
    fileattr::{
        Attr,
        FileKattr, //
    }, //
};

/// `->fileattr_get`
pub(crate) fn get(dentry: &Dentry<Rovl>, attrs: &mut FileKattr) -> Result {
    let inode = dentry.positive()?;
    if inode.is_dir() {
        current::refresh_inode(inode)?;
    }
    let path = inode.real().top()?;
    inode.ofs().as_mounter(|m| path.get_fileattr(m, attrs))?;
    if inode.flags() & bindings::S_APPEND != 0 {
        attrs.insert(Attr::APPEND);
    }
    if inode.flags() & bindings::S_IMMUTABLE != 0 {
        attrs.insert(Attr::IMMUTABLE);
    }
    Ok(())
}

/// `->fileattr_set`
pub(crate) fn set(dentry: &LockedDentry<'_, Rovl>, attrs: &mut FileKattr) -> Result {
    let inode = dentry.inode();
    let _layers = inode.ofs().start_changing();
    copy_up(dentry, Why::Fileattr)?;
    let ofs = inode.ofs();
    let upper = inode.upper().ok_or(reason::NOT_IN_UPPER)?;
    let result = ofs.change_upper(|layer| {
        store_protattr(layer, inode, upper, attrs)?;
        layer.set_fileattr(upper, attrs)
    });
    let real = upper.inode().ok_or(reason::NEGATIVE_IN_LAYER)?.flags();
    inode.set_flags(real | inode.flags() & PROTECTED_FLAGS, COPIED_FLAGS);
    inode.copy_attr_from_real();
    result
}
