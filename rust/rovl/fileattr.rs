// SPDX-License-Identifier: GPL-2.0

//! File attributes, as chattr(1) sets them.
//!
//! The upper inode must not be append-only or immutable, because then the overlay itself could
//! neither move it to its place nor set attributes of its own. These two are kept in an extended
//! attribute, `protattr`, and in the flags of the overlay inode, which the VFS enforces.

use crate::{
    copy_up::copy_up,
    entry::{
        DentryExt,
        InodeExt, //
    },
    inode::COPIED_FLAGS,
    super_data::Super,
    upper::Upper,
    Rovl, //
};
use kernel::{
    bindings,
    prelude::*, //
};
use ondisk::{
    protattr::{
        self,
        Protattr, //
    },
    xattr::Name, //
};
use vfs::{
    cred::AsMounter,
    dentry::Dentry,
    fileattr::{
        Attr,
        FileKattr, //
    },
    inode::{
        Inode,
        NewInode, //
    },
    log,
    path::LayerPath,
    Layer, //
};

/// The flags of an inode that `protattr` holds.
const PROTECTED_FLAGS: u32 = bindings::S_APPEND | bindings::S_IMMUTABLE;

/// The flags of an inode for `attr`.
fn inode_flags(attr: Protattr) -> u32 {
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
    inode: &mut NewInode<Rovl>,
    upper: LayerPath<'_>,
) {
    let mut value = [0; protattr::MAX_LEN];
    let Ok(len) = ofs.get_xattr(m, upper, Name::Protattr, &mut value) else {
        return;
    };
    match Protattr::parse(value.get(..len).unwrap_or_default()) {
        Ok(attr) => {
            let flags = inode_flags(attr);
            inode.set_flags(flags, flags);
        }
        Err(_) => log::warn_dentry(c"incompatible overlay.protattr", upper.dentry, EINVAL),
    }
}

/// Moves the protecting attributes from `attrs` to `protattr` of `upper`, the upper object of
/// `inode`, and to the flags of `inode`.
///
/// Returns `EPERM` where they cannot be stored.
pub(crate) fn store_protattr(
    layer: &Upper<'_>,
    inode: &Inode<Rovl>,
    upper: &Dentry<Layer>,
    attrs: &mut FileKattr,
) -> Result {
    let attr = Protattr {
        append: attrs.has(Attr::APPEND),
        immutable: attrs.has(Attr::IMMUTABLE),
    };
    if let Some(value) = attr.encode() {
        layer.set_xattr_or(upper, Name::Protattr, &value, Err(EPERM))?;
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
    read(m, from)
}

/// Gives `to`, the copy in the upper layer of what `inode` is made of, the attributes `old`.
///
/// That an upper layer has no attributes is no reason not to copy the object.
pub(crate) fn copy(
    layer: &Upper<'_>,
    inode: &Inode<Rovl>,
    old: &FileKattr,
    to: &Dentry<Layer>,
) -> Result {
    if old.has(Attr::APPEND) || old.has(Attr::IMMUTABLE) {
        let mut protecting = FileKattr::for_flags();
        protecting.copy(Attr::APPEND, old);
        protecting.copy(Attr::IMMUTABLE, old);
        match store_protattr(layer, inode, to, &mut protecting) {
            Err(err) if err == EPERM => {
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
        Err(err) if err == ENOTTY || err == EINVAL => Ok(None),
        Err(err) => {
            log::warn_dentry(c"failed to retrieve fileattr", path.dentry, err);
            Err(err)
        }
    }
}

/// `->fileattr_get`
pub(crate) fn get(dentry: &Dentry<Rovl>, attrs: &mut FileKattr) -> Result {
    let inode = dentry.positive()?;
    let path = inode.real_path()?;
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
pub(crate) fn set(dentry: &Dentry<Rovl>, attrs: &mut FileKattr) -> Result {
    copy_up(dentry)?;
    let inode = dentry.positive()?;
    let ofs = inode.ofs();
    let upper = inode.upper().ok_or(EIO)?;
    let result = ofs.change_upper(|layer| {
        store_protattr(layer, inode, upper, attrs)?;
        layer.set_fileattr(upper, attrs)
    });
    let real = upper.inode().ok_or(EIO)?.flags();
    inode.set_flags(real | inode.flags() & PROTECTED_FLAGS, COPIED_FLAGS);
    inode.copy_attr_from_real();
    result
}
