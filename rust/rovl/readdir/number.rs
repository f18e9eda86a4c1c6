// SPDX-License-Identifier: GPL-2.0

//! Inode numbers of entries: `readdir()` shows those that `stat()` shows.
//!
//! An entry of a layer has the layer's number. That is also the overlay's, but for what was copied
//! up, which keeps the number that it had below, where all layers are on one file system. Elsewhere
//! `stat()` shows another device for them, and the layer's number is as good as any.

use super::entries::{
    Entry,
    Mark, //
};
use crate::{
    entry::DentryExt,
    Rovl, //
};
use kernel::{
    prelude::*,
    sync::aref::ARef, //
};
use vfs::{
    dentry::Dentry,
    inode::Locked,
    log,
    path::OwnPath,
    stat::StatRequest, //
};

/// The number that `stat()` shows for `dentry`, if it may be another than the upper layer's.
fn shown(dir: OwnPath<'_, Rovl>, dentry: &Dentry<Rovl>) -> Result<Option<u64>> {
    if !dentry.path_type().origin {
        return Ok(None);
    }
    Ok(Some(dir.getattr_of(dentry, StatRequest::INO)?.ino()))
}

/// Looks up the entry `name` of `dir`. Returns `None` where there is none any more, or a whiteout.
fn lookup(
    dir: OwnPath<'_, Rovl>,
    lock: &Locked<'_, Rovl>,
    name: &[u8],
) -> Result<Option<ARef<Dentry<Rovl>>>> {
    match name {
        b"." => Ok(Some(ARef::from(dir.dentry()))),
        // Even a locked directory can be moved by d_splice_alias(), hence the reference.
        b".." => Ok(Some(dir.dentry().parent())),
        _ => {
            let dentry = dir.lookup_locked(lock, name)?;
            Ok((!dentry.is_negative()).then_some(dentry))
        }
    }
}

/// Completes `entry` of `dir`, which is called `name`: its inode number, or that it is hidden.
pub(super) fn complete(
    dir: OwnPath<'_, Rovl>,
    lock: &Locked<'_, Rovl>,
    name: &[u8],
    entry: &Entry,
) -> Result {
    let own_number = entry.is(Mark::OwnNumber);
    entry.set_looked_up();
    let number = match lookup(dir, lock, name) {
        Ok(Some(dentry)) if own_number => shown(dir, &dentry),
        Ok(Some(_)) => Ok(None),
        Ok(None) => {
            entry.set(Mark::Hidden);
            Ok(None)
        }
        Err(err) => {
            entry.set(Mark::Hidden);
            Err(err)
        }
    };
    match number {
        Ok(Some(ino)) => entry.set_ino(ino),
        Ok(None) => {}
        Err(err) => {
            log::warn_name(c"cannot find the inode number", dir.dentry(), name, err);
            return Err(err);
        }
    }
    Ok(())
}
