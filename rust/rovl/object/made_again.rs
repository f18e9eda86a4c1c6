// SPDX-License-Identifier: GPL-2.0

//! Lower objects that were removed, and perhaps made again, behind the back of a mount.
//!
//! That a dentry of a layer is unhashed tells it without a lookup. What is not a directory is
//! revalidated by that each time it is found ([`Dentry::watch_lower`]). A directory is part of each
//! path through it, which must not cost more; it is looked at when it is opened, and when a name is
//! looked up in it that is not cached.

use crate::Rovl;
use stacking::{
    prelude::*,
    stack::{
        LowerEntry,
        Lowers, //
    }, //
};
use vfs::{
    dentry::Dentry,
    inode::Inode,
    Ref, //
};

/// Unhashes `dir` if what shows of it was removed from its lower layer, and its parents if that is
/// true of them too, so that the next lookup finds what is there now. Returns whether that makes a
/// difference; the VFS looks again where it gets `ESTALE` then.
///
/// What is in use stays: where something is mounted on it or inside, or used below it but `child`,
/// and what has been unhashed before.
pub(crate) fn forget_if_removed(dir: &Dentry<Rovl>, child: Option<&Dentry<Rovl>>) -> bool {
    if !is_removed(dir) {
        return false;
    }
    let mut dir: Ref<'_, Dentry<Rovl>> = Ref::from(dir);
    let mut child: Option<Ref<'_, Dentry<Rovl>>> = child.map(Ref::from);
    let mut forgotten = false;
    while is_removed(&dir) && !dir.is_in_use(child.as_deref()) {
        dir.drop_from_hash();
        forgotten = true;
        let parent = dir.parent();
        child = Some(dir);
        dir = parent;
    }
    forgotten
}

/// Whether what shows of `dentry` was removed from a lower layer, and the dcache finds it still.
fn is_removed(dentry: &Dentry<Rovl>) -> bool {
    dentry.inode().is_some_and(is_lower_removed) && !dentry.is_unhashed()
}

/// Whether what shows of `inode` was removed from a lower layer.
// Each lookup asks.
#[inline]
pub(crate) fn is_lower_removed(inode: &Inode<Rovl>) -> bool {
    let now = inode.now();
    now.upper.is_none() && is_gone_from(now.lower)
}

fn is_gone_from(lower: Lowers<'_>) -> bool {
    let lower = lower.first().map(LowerEntry::dentry);
    // What was found by a file handle is not hashed either, as long as it has no name.
    lower.is_some_and(|lower| lower.is_unhashed() && !lower.is_disconnected())
}
