// SPDX-License-Identifier: GPL-2.0

//! Hard links.

use crate::{
    copy_up::copy_up,
    create::Instance,
    entry::{
        DentryExt,
        InodeExt, //
    },
    rename::set_for_link,
    upper::{
        Make,
        Upper, //
    },
    Rovl, //
};
use kernel::{
    prelude::*,
    sync::aref::ARef, //
};
use vfs::dentry::{
    Dentry,
    Stable, //
};

/// `->link`
pub(crate) fn link(old: &Dentry<Rovl>, new: Stable<'_, Rovl>) -> Result {
    copy_up(old)?;
    let parent = new.stable_parent();
    copy_up(parent)?;
    let ofs = new.ofs();
    let inode = old.positive()?;
    // The number of links changes under the lock of copy up, which also makes links.
    let _lock = inode.lock_interruptible()?;
    let write = ofs.upper_mount()?.want_write()?;
    ofs.as_mounter(|m| {
        let write = &write;
        let upper = Upper { ofs, m, write };
        if inode.is_metacopy() {
            set_for_link(&upper, old)?;
        }
        if old.path_type().origin {
            upper.set_impure(parent)?;
        }
        let what = Make::Link(old.upper().ok_or(EIO)?);
        upper.make(new, what, Instance::Link(ARef::from(inode)))
    })
}
