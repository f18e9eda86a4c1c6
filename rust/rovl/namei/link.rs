// SPDX-License-Identifier: GPL-2.0

//! Hard links.

use crate::{
    namei::{
        create::Instance,
        nlink::change_links,
        rename::redirect::set_for_link, //
    },
    object::{
        current,
        entry::{
            DentryExt,
            InodeExt, //
        },
        reason, //
    },
    observe::trace::Why,
    sync,
    upper::{
        copy_up::copy_up,
        Make, //
    },
    Rovl, //
};
use kernel::prelude::*;
use stacking::prelude::*;
use vfs::{
    dentry::{
        LockedDentry,
        Negative, //
    },
    inode::Locked,
    Ref, //
};

/// `->link`
pub(crate) fn link(
    old: &LockedDentry<'_, Rovl>,
    dir: &Locked<'_, Rovl>,
    new: Negative<'_, Rovl>,
) -> Result {
    let _layers = dir.ofs().start_changing();
    current::ensure(&new)?;
    copy_up(old, Why::Link)?;
    let parent = new.dir();
    copy_up(parent, Why::Link)?;
    let inode = old.inode();
    let unnamed = inode.upper_inode().is_some_and(|upper| upper.nlink() == 0);
    if unnamed {
        take_into_upper(inode)?;
    }
    change_links(old, inode, Why::Link, |upper| {
        if inode.real().is_metacopy() {
            set_for_link(upper, old)?;
        }
        if old.path_type().origin {
            upper.set_impure(parent)?;
        }
        let what = Make::Link(old.upper().ok_or(reason::NOT_IN_UPPER)?);
        upper.make(dir, new, what, Instance::Link(inode))
    })?;
    if unnamed {
        sync::note_named(inode);
    }
    Ok(())
}

/// Notes of a file without a name, which is going to get one in the upper layer, that it is in that: it may have been made
/// when another one was.
fn take_into_upper(inode: &Locked<'_, Rovl>) -> Result {
    let mounts = &inode.ofs().mounts;
    let real = inode.real();
    let (Some(upper), Some(layer)) = (real.upper(), real.upper_layer()) else {
        return Ok(());
    };
    let index = mounts.upper_index();
    if layer == index || !mounts.may_grow() {
        return Ok(());
    }
    inode.add_upper(Ref::from(upper), index)
}
