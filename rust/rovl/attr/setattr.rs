// SPDX-License-Identifier: GPL-2.0

//! Changing attributes.

use crate::{
    object::{
        entry::InodeExt,
        reason, //
    },
    observe::trace::Why,
    sync,
    upper::copy_up::{
        copy_up,
        copy_up_with_data, //
    },
    Rovl, //
};
use kernel::{
    bindings,
    prelude::*, //
};
use stacking::prelude::*;
use vfs::{
    dentry::LockedDentry,
    iattr::Setattr,
    mount::Idmap, //
};

/// `->setattr`: the caller's rights are checked on the overlay's inode, and the change is made on the
/// upper one by the mounter.
pub(crate) fn setattr(
    idmap: Idmap<'_>,
    dentry: &LockedDentry<'_, Rovl>,
    mut change: Setattr<'_>,
) -> Result {
    change.prepare(idmap, dentry)?;
    let inode = dentry.inode();
    let _layers = inode.ofs().start_changing();
    let attr = change.for_layer(idmap, inode);
    let sets_size = attr.sets_size();
    if sets_size {
        copy_up_with_data(dentry, Why::Setattr)?;
    } else {
        copy_up(dentry, Why::Setattr)?;
    }
    let upper = inode.upper().ok_or(reason::NOT_IN_UPPER)?;
    let real = upper.inode().ok_or(reason::NEGATIVE_IN_LAYER)?;
    // The VFS has asked the overlay's inode, which may not know of what the layer's file was made since.
    if sets_size && real.flags() & bindings::S_APPEND != 0 {
        return Err(reason::APPEND_ONLY);
    }
    // Nobody may execute what is truncated.
    let _writable = if sets_size {
        let writable = real.get_write_access()?;
        // The end of what is left may have to be written.
        sync::note_file(inode);
        Some(writable)
    } else {
        None
    };
    inode.ofs().change_upper(|layer| {
        let lock = real.lock();
        layer.write.notify_change(layer.m, &lock, upper, attr)?;
        inode.copy_attr(real, layer.write.mount().idmap());
        Ok(())
    })
}
