// SPDX-License-Identifier: GPL-2.0

//! What an object is made of in another generation of the layers.

use crate::{
    object::{
        entry::{
            DentryExt,
            Flag,
            FlagBits,
            InodeExt, //
        },
        inode::{
            Parts,
            COPIED_FLAGS, //
        },
        protattr::protected_flags,
        super_data::Super, //
    },
    Rovl, //
};
use core::sync::atomic::Ordering;
use kernel::prelude::*;
use stacking::{
    cred::AsMounter,
    prelude::*, //
};
use vfs::{
    dentry::Dentry,
    inode::Inode, //
};

/// What is to be noted in a dentry.
#[derive(Clone, Copy)]
pub(crate) struct Found {
    pub(crate) flags: FlagBits,
    /// The upper layer at that time.
    pub(crate) upper: usize,
    pub(crate) generation: u32,
}

/// Takes over what the directory `inode` is made of now, and notes in `dentry`, if that is its name, that it was found.
/// What somebody else has found in this generation stays.
///
/// Returns `ENOMEM` and what reading attributes of the layers gives.
pub(crate) fn renew_dir(
    m: &AsMounter,
    inode: &Inode<Rovl>,
    parts: Parts<'_>,
    dentry: Option<(&Dentry<Rovl>, Found)>,
) -> Result {
    let ofs = inode.ofs();
    // All that asks the layers, before the lock.
    let path = parts.real_path(ofs)?;
    let is_impure = parts.upper.is_some() && ofs.is_impure(m, path);
    let first = parts.lower.first();
    let is_own =
        parts.upper.is_some() || first.is_some_and(|first| ofs.mounts.was_upper(first.layer()));
    // In a layer that never was the upper one that says nothing, as for a new inode.
    let protected = match is_own {
        true => protected_flags(m, ofs, path),
        false => 0,
    };
    let flags = parts.top_flags() | protected;
    let layer = parts.upper_layer;
    let generation = parts.generation;
    let _one = ofs.live().map(|live| live.renewing.lock());
    if inode.generations().0 < generation {
        let data = inode.data();
        // Who sees other layers sees that they are merged.
        data.set(Flag::Whiteouts);
        let upper = parts.upper.map(|upper| (upper, layer));
        if inode.renew(upper, parts.lower, generation)? {
            if is_impure {
                data.set(Flag::Impure);
            } else {
                data.clear(Flag::Impure);
            }
            data.set_redirect(parts.redirect);
            // ORDERING: An estimate.
            data.misses.store(0, Ordering::Relaxed);
            inode.set_flags(flags, COPIED_FLAGS);
            inode.copy_attr_from_real();
            // After all: what was read before is not kept.
            data.bump_version();
        }
    }
    if let Some((dentry, found)) = dentry {
        dentry.settle(found.flags, found.upper, found.generation);
    }
    Ok(())
}

/// The same for `dentry`, the name of anything else, which is the same object. It was found with `nlink` links.
pub(crate) fn renew_file(ofs: &Super, dentry: &Dentry<Rovl>, nlink: Option<u32>, found: Found) {
    let _one = ofs.live().map(|live| live.renewing.lock());
    if let (Some(inode), Some(nlink)) = (dentry.inode(), nlink) {
        if dentry.found_in() < found.generation {
            inode.correct_nlink(nlink);
        }
    }
    dentry.settle(found.flags, found.upper, found.generation);
}
