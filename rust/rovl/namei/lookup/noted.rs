// SPDX-License-Identifier: GPL-2.0

//! What a lookup notes in the dentry, and of which layers that is true.

use crate::{
    object::{
        current,
        entry::{
            DentryExt,
            DentryFlag, //
        },
        renewed::Found, //
    },
    Rovl, //
};
use kernel::prelude::*;
use stacking::{
    prelude::*,
    stack::LowerEntry, //
};
use vfs::{
    dentry::Dentry,
    inode::Inode, //
};

/// The generation of the layers, of which the directory of `dentry` is true.
#[inline]
pub(super) fn current_generation(dentry: &Dentry<Rovl>) -> Result<u32> {
    let ofs = dentry.sb().data();
    if ofs.live().is_none() {
        return Ok(0);
    }
    let parent = dentry.parent();
    loop {
        current::ensure(&parent)?;
        let generation = ofs.generation();
        // It may have been current in the one before only.
        if parent.found_in() == generation {
            return Ok(generation);
        }
    }
}

/// Sets the flags of a dentry that was looked up.
#[inline]
pub(super) fn note(dentry: &Dentry<Rovl>, found: Found) {
    if found.generation != 0 {
        dentry.settle(found.flags, found.upper, found.generation);
        return;
    }
    for flag in [
        DentryFlag::UpperAlias,
        DentryFlag::Opaque,
        DentryFlag::Xwhiteouts,
        DentryFlag::NothingBelow,
        DentryFlag::AskAgain,
    ] {
        if found.flags.has(flag) {
            dentry.mark_as_of(flag, found.upper);
        }
    }
}

/// Has `dentry`, of `inode`, asked whenever a layer wants that, or where the lower object may be removed.
pub(in crate::namei) fn ask_layers(dentry: &Dentry<Rovl>, inode: &Inode<Rovl>) {
    let now = inode.now();
    let lower = now.lower.iter_found().map(LowerEntry::dentry);
    dentry.init_revalidation(Iterator::chain(now.upper.into_iter(), lower));
    // A directory is asked for too often, see `made_again`.
    if now.upper.is_none() && !inode.is_dir() {
        dentry.watch_lower();
    }
}
