// SPDX-License-Identifier: GPL-2.0

//! Hard links.

use crate::{
    namei::{
        create::Instance,
        nlink::change_links,
        rename::redirect::set_for_link, //
    },
    object::entry::{
        DentryExt,
        InodeExt, //
    },
    upper::{
        copy_up::copy_up,
        Make, //
    },
    Rovl, //
};
use kernel::prelude::*;
use vfs::{
    dentry::{
        Dentry,
        Stable, //
    },
    Ref, //
};

/// `->link`
pub(crate) fn link(old: &Dentry<Rovl>, new: Stable<'_, Rovl>) -> Result {
    copy_up(old)?;
    let parent = new.stable_parent();
    copy_up(parent)?;
    let inode = old.positive()?;
    change_links(old, |upper| {
        if inode.real().is_metacopy() {
            set_for_link(upper, old)?;
        }
        if old.path_type().origin {
            upper.set_impure(parent)?;
        }
        let what = Make::Link(old.upper().ok_or(EIO)?);
        upper.make(new, what, Instance::Link(Ref::from(inode)))
    })
}
