// SPDX-License-Identifier: GPL-2.0

//! File attributes of upper objects, as chattr(1) sets them.

use crate::{
    object::{
        inode::COPIED_FLAGS,
        log,
        protattr::{
            inode_flags,
            PROTECTED_FLAGS, //
        },
        reason, //
    },
    upper::Upper,
    Rovl, //
};
use kernel::{
    bindings,
    prelude::*, //
};
use ondisk::{
    protattr::Protattr,
    xattr::Name, //
};
use stacking::{
    cred::AsMounter,
    path::LayerPath, //
};
use vfs::{
    dentry::Dentry,
    errno::WithReason,
    fileattr::{
        Attr,
        FileKattr, //
    },
    inode::Inode,
    Foreign, //
};

/// Moves the protecting attributes from `attrs` to `protattr` of `upper`, the upper object of
/// `inode`, and to the flags of `inode`.
///
/// Returns `EPERM` where they cannot be stored.
pub(crate) fn store_protattr(
    layer: &Upper<'_>,
    inode: &Inode<Rovl>,
    upper: &Dentry<Foreign>,
    attrs: &mut FileKattr,
) -> Result {
    let attr = Protattr {
        append: attrs.has(Attr::APPEND),
        immutable: attrs.has(Attr::IMMUTABLE),
    };
    if let Some(value) = attr.encode() {
        layer.set_xattr_or(upper, Name::Protattr, &value, Err(reason::NO_PROTATTR))?;
    } else if inode.flags() & PROTECTED_FLAGS != 0 {
        match layer.remove_xattr(upper, Name::Protattr) {
            Err(err) if err != EOPNOTSUPP && err != ENODATA => return Err(err),
            _ => {}
        }
    }
    inode.set_flags(inode_flags(attr), PROTECTED_FLAGS);
    attrs.remove(Attr::APPEND);
    attrs.remove(Attr::IMMUTABLE);
    Ok(())
}

/// The attributes of `from`, of which `inode` is made, that its copy is to have; `None` where there is
/// nothing to copy.
///
/// To be called without write access to the upper layer: this opens the lower object, which, in an
/// overlay, may take locks of its own.
pub(crate) fn to_copy(
    m: &AsMounter,
    inode: &Inode<Rovl>,
    from: LayerPath<'_>,
) -> Result<Option<FileKattr>> {
    // Attributes that matter to the VFS are in the flags of the inode; others stay behind.
    if inode.flags() & COPIED_FLAGS & !bindings::S_CASEFOLD == 0 {
        return Ok(None);
    }
    let mut attrs = read(m, from)?;
    if let Some(attrs) = &mut attrs {
        // Those of a layer that was the upper one are in an attribute there.
        if inode.flags() & bindings::S_APPEND != 0 {
            attrs.insert(Attr::APPEND);
        }
        if inode.flags() & bindings::S_IMMUTABLE != 0 {
            attrs.insert(Attr::IMMUTABLE);
        }
    }
    Ok(attrs)
}

/// Gives `to`, the copy in the upper layer of what `inode` is made of, the attributes `old`.
///
/// That an upper layer has no attributes is no reason not to copy the object.
pub(crate) fn copy(
    layer: &Upper<'_>,
    inode: &Inode<Rovl>,
    old: &FileKattr,
    to: &Dentry<Foreign>,
) -> Result {
    if old.has(Attr::APPEND) || old.has(Attr::IMMUTABLE) {
        let mut protecting = FileKattr::for_flags();
        protecting.copy(Attr::APPEND, old);
        protecting.copy(Attr::IMMUTABLE, old);
        match store_protattr(layer, inode, to, &mut protecting) {
            Err(err) if err.is(EPERM) => {
                log::warn_dentry(c"copying fileattr: no xattr on upper", to, err);
            }
            result => result?,
        }
    }
    if !old.has(Attr::SYNC) && !old.has(Attr::NOATIME) {
        return Ok(());
    }
    let Some(mut new) = read(layer.m, layer.path(to)?)? else {
        log::warn_dentry(c"copying fileattr: no support on upper", to, ENOTTY);
        return Ok(());
    };
    new.copy(Attr::SYNC, old);
    new.copy(Attr::NOATIME, old);
    layer.set_fileattr(to, &mut new)
}

/// The attributes of a layer's object, or `None` where its file system has none.
fn read(m: &AsMounter, path: LayerPath<'_>) -> Result<Option<FileKattr>> {
    let mut attrs = FileKattr::for_flags();
    match path.get_fileattr(m, &mut attrs) {
        Ok(()) => Ok(Some(attrs)),
        // Some file systems in user space have an error of their own for it.
        Err(err) if err == ENOTTY || err.is(EINVAL) => Ok(None),
        Err(err) => {
            log::warn_dentry(c"failed to retrieve fileattr", path.dentry, err);
            Err(err)
        }
    }
}
