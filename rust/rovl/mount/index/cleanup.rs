// SPDX-License-Identifier: GPL-2.0

//! Cleaning the index of an earlier mount: what a crash left, or a change of the layers made useless.

use crate::{
    identity::index::verify::{
        examine,
        Worth, //
    },
    listing::names::{
        self,
        Names, //
    },
    object::{
        log,
        super_data::Super, //
    },
    upper::{
        cleanup,
        Upper, //
    }, //
};
use kernel::prelude::*;
use ondisk::temp_name;
use stacking::{
    cred::AsMounter, //
};
use vfs::{
    dentry::Dentry,
    Foreign, //
};

/// Removes what is of no use from the index directory, before the mount is used.
///
/// An error means that the index must not be used: it has an entry that this version does not
/// understand, or one that cannot be examined.
// Once a mount, and not to be a part of all that makes one.
#[inline(never)]
pub(crate) fn cleanup(m: &AsMounter, ofs: &Super) -> Result {
    let Some(dir) = ofs.index_dir() else {
        return Ok(());
    };
    let path = ofs.upper_path(dir)?;
    for name in names::names(m, path)?.iter() {
        let entry = path.lookup(m, name)?;
        if !entry.is_negative() {
            cleanup_entry(m, ofs, dir, &entry, name)?;
        }
    }
    Ok(())
}

fn cleanup_entry(
    m: &AsMounter,
    ofs: &Super,
    dir: &Dentry<Foreign>,
    entry: &Dentry<Foreign>,
    name: &[u8],
) -> Result {
    let is_leftover = temp_name::is_leftover(name);
    let worth = if is_leftover {
        Worth::Stale
    } else {
        examine(m, ofs, entry, name)?
    };
    if worth == Worth::Good {
        return Ok(());
    }
    let write = &ofs.upper_mount()?.want_write()?;
    if is_leftover {
        // What cannot be removed is in nobody's way.
        return match cleanup::remove_leftover(m, write, dir, entry) {
            Err(err) if err == EINTR => Err(err),
            Err(err) => {
                log::warn_dentry(c"cleanup of what is left over failed", entry, err);
                Ok(())
            }
            Ok(()) => Ok(()),
        };
    }
    if worth == Worth::Orphan && ofs.config.nfs_export {
        // Handles of it must not be decoded to something else.
        return Upper { ofs, m, write }.replace_by_whiteout(dir, entry, &Names::new());
    }
    cleanup::remove(m, write, dir, entry)
}
