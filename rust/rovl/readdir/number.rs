// SPDX-License-Identifier: GPL-2.0

//! Inode numbers of entries: `readdir()` shows those that `stat()` shows.
//!
//! An entry of a layer has the layer's number. That is also the overlay's, but for what was copied
//! up, which keeps the number that it had below, where all layers are on one file system. Elsewhere
//! `stat()` shows another device for them, and the layer's number is as good as any.

use crate::{
    listing::entries::{
        Entry,
        Mark, //
    },
    object::{
        config::XinoMode,
        current,
        entry::DentryExt,
        log, //
    },
    Rovl, //
};
use kernel::prelude::*;
use stacking::prelude::*;
use vfs::{
    dentry::Dentry,
    errno::WithReason,
    inode::LockedShared,
    path::PathRef,
    stat::StatRequest,
    Ref, //
};

/// The number to show for the entry `name` of `dir`, which has the number `ino` in file system
/// `fsid`: that one where it is too big to say the file system too.
// Once for each entry of a listing.
#[inline]
pub(crate) fn mapped(dir: &Dentry<Rovl>, name: &[u8], ino: u64, fsid: usize) -> u64 {
    match dir.sb().data().map_number(ino, fsid) {
        Some(ino) => ino,
        None => too_big(dir, name, ino),
    }
}

#[cold]
fn too_big(dir: &Dentry<Rovl>, name: &[u8], ino: u64) -> u64 {
    if dir.sb().data().config.xino == XinoMode::On {
        log::warn_name(c"d_ino too big for xino", dir, name, EOVERFLOW);
    }
    ino
}

/// The number that `stat()` shows for `dentry`, the entry `name` with the layer's number `ino`.
///
/// The parent of a directory may be in layers above those that the directory is in. The number is
/// taken for one of the parent's topmost layer all the same, as the in-tree module does it.
fn shown(dir: PathRef<'_, Rovl>, dentry: &Dentry<Rovl>, name: &[u8], ino: u64) -> Result<u64> {
    let found = dentry.path_type();
    let has_changed = dentry.sb().data().have_changed();
    if found.origin || has_changed {
        return Ok(dir.getattr_of(dentry, StatRequest::INO)?.ino());
    }
    if found.upper {
        return Ok(ino);
    }
    let lower = dentry.positive()?.lower().first();
    let fsid = lower.map_or(0, |lower| dentry.sb().data().fsid(lower.layer()));
    Ok(mapped(dir.dentry(), name, ino, fsid))
}

/// Looks up the entry `name` of `dir`. Returns `None` where there is none any more, or a whiteout.
fn lookup<'a>(
    dir: PathRef<'a, Rovl>,
    lock: &LockedShared<'_, Rovl>,
    name: &[u8],
) -> Result<Option<Ref<'a, Dentry<Rovl>>>> {
    match name {
        b"." => Ok(Some(Ref::from(dir.dentry()))),
        // Even a locked directory can be moved by d_splice_alias(), hence the reference.
        b".." => Ok(Some(dir.dentry().parent())),
        _ => {
            let dentry = dir.lookup_locked(lock, name)?;
            Ok((!dentry.is_negative()).then_some(dentry))
        }
    }
}

/// Completes `entry` of `dir`, which is called `name`: its inode number, or that it is hidden.
///
/// Only one task at a time may do that with an entry that others see.
pub(crate) fn complete(
    dir: PathRef<'_, Rovl>,
    lock: &LockedShared<'_, Rovl>,
    name: &[u8],
    entry: &Entry,
) -> Result {
    let own_number = entry.is(Mark::OwnNumber);
    let number = match lookup(dir, lock, name) {
        Ok(Some(dentry)) if own_number => shown(dir, &dentry, name, entry.ino()),
        Ok(Some(_)) => Ok(entry.ino()),
        Ok(None) => {
            entry.set(Mark::Hidden);
            Ok(entry.ino())
        }
        // Of a directory that is gone its entries are all that is left.
        Err(err) if err.is(ESTALE) && !current::is_current(dir.dentry()) => Ok(entry.ino()),
        Err(err) => {
            entry.set(Mark::Hidden);
            Err(err)
        }
    };
    if let Ok(ino) = number {
        entry.set_ino(ino);
    }
    entry.set_looked_up();
    number.map(drop).inspect_err(|&err| {
        log::warn_name(c"failed to look up for ino", dir.dentry(), name, err);
    })
}
