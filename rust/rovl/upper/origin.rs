// SPDX-License-Identifier: GPL-2.0

//! Storing the origin of an upper object, see [`crate::identity::origin`].

use crate::{
    identity::handle,
    object::super_data::Super,
    upper::Upper,
    Rovl, //
};
use kernel::prelude::*;
use ondisk::{
    file_handle::{
        FileHandle,
        MadeHandle, //
    },
    xattr::Name, //
};
use stacking::{
    cred::AsMounter, //
};
use vfs::{
    dentry::Dentry,
    errno::WithReason,
    inode::Inode,
    Foreign, //
};

/// Stores `handle` as the origin of `dentry`, an object of the upper layer whose inode is not locked.
pub(crate) fn set_origin(
    upper: &Upper<'_>,
    dentry: &Dentry<Foreign>,
    handle: Option<FileHandle<'_>>,
) -> Result {
    let value = handle.map_or(&[][..], FileHandle::as_bytes);
    match upper.set_xattr_or(dentry, Name::Origin, value, Ok(())) {
        // Links and devices cannot have attributes of the namespace `user`.
        Err(err) if err.is(EPERM) => Ok(()),
        result => result,
    }
}

/// Stores `lower` as the origin of `upper`, the directory that is merged with it, where it has none
/// yet, because it was made offline. That marks `dir`, the parent, as impure, like a copy up.
pub(crate) fn fix_origin(
    m: &AsMounter,
    ofs: &Super,
    dir: &Inode<Rovl>,
    lower: &Dentry<Foreign>,
    upper: &Dentry<Foreign>,
) -> Result {
    if ofs.has_xattr(m, ofs.upper_path(upper)?, Name::Origin) {
        return Ok(());
    }
    let handle = handle::of_origin(m, &ofs.config, lower)?;
    let write = ofs.upper_mount()?.want_write()?;
    let layer = Upper {
        ofs,
        m,
        write: &write,
    };
    set_origin(&layer, upper, handle.as_ref().map(MadeHandle::get))?;
    ofs.set_impure(m, &write, dir)
}
