// SPDX-License-Identifier: GPL-2.0

//! Whether a name still leads to the object that it led to, where layers change.
//!
//! A dentry has the generation of the layers in which it was found. In another one the name is looked up again
//! before anything is done with it, and before that those of its parents.

use crate::{
    object::{
        entry::{
            DentryExt,
            DentryFlag,
            InodeExt, //
        },
        reason, //
    },
    Rovl, //
};
use kernel::prelude::*;
use stacking::prelude::*;
use vfs::{
    dentry::Dentry,
    errno::WithReason,
    inode::Inode, //
};

/// Looking a name up again. It is named here without using the rooms that do it.
pub(crate) trait Renewal {
    /// Takes over what `dentry` and its parents are in the layers that there are now. Returns whether the name leads to
    /// the same object.
    fn renew(dentry: &Dentry<Rovl>) -> Result<bool>;
}

/// Whether `dentry` was found in the layers that there are now.
#[inline]
pub(crate) fn is_current(dentry: &Dentry<Rovl>) -> bool {
    dentry.found_in() == dentry.sb().data().mounts.generation()
}

/// Has what is known of `dentry`, by whose name something is to be found or changed, be true of the layers that there
/// are now.
///
/// Its parents are so, too, then.
///
/// Returns `ESTALE` where its name leads to something else, to something where there was nothing, or where the name or
/// one of its parents is gone.
#[inline]
pub(crate) fn ensure(dentry: &Dentry<Rovl>) -> Result {
    if dentry.sb().data().live().is_none() || is_current(dentry) {
        return Ok(());
    }
    renew(dentry)
}

#[cold]
#[inline(never)]
fn renew(dentry: &Dentry<Rovl>) -> Result {
    match Rovl::renew(dentry)? {
        true => Ok(()),
        false => Err(reason::GONE),
    }
}

/// The same of a directory that is going to be shown, however it was found. One that is gone stays what it was.
#[inline]
pub(crate) fn refresh(dentry: &Dentry<Rovl>) -> Result {
    match ensure(dentry) {
        Err(err) if err.is(ESTALE) => Ok(()),
        result => result,
    }
}

/// The same of a directory that is known by its inode.
#[inline]
pub(crate) fn refresh_inode(inode: &Inode<Rovl>) -> Result {
    let (known_in, _) = inode.generations();
    if known_in == inode.ofs().mounts.generation() {
        return Ok(());
    }
    match inode.any_dentry() {
        Some(dentry) => refresh(&dentry),
        None => Ok(()),
    }
}

/// Whether the object is gone, of which `dentry` is a name, or was one: it may be read still, and not be changed.
pub(crate) fn is_gone(dentry: &Dentry<Rovl>) -> bool {
    dentry.has(DentryFlag::Gone) || dentry.inode().is_some_and(is_in_gone_layer)
}

/// Whether what shows of `inode` is in a layer that is gone. Of a directory whose name has not been looked up again
/// that says nothing.
pub(crate) fn is_in_gone_layer(inode: &Inode<Rovl>) -> bool {
    let first = inode.all_layers().unwrap_or_default().first();
    first.is_some_and(|first| inode.ofs().mounts.is_gone(first.layer()))
}
