// SPDX-License-Identifier: GPL-2.0

//! What an entry of the index is worth.

use crate::{
    identity::{
        handle,
        index::{
            parse_name,
            upper_of, //
        },
        origin, //
    },
    object::{
        links::Links,
        log,
        reason,
        super_data::Super, //
    }, //
};
use kernel::prelude::*;
use ondisk::{
    index,
    xattr::Name, //
};
use stacking::{
    cred::AsMounter,
    exportfs::Accept, //
};
use vfs::{
    dentry::Dentry,
    errno::WithReason,
    Foreign, //
};

/// What an entry of the index is worth.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Worth {
    /// It is in use, or cannot be told not to be.
    Good,
    /// It leads to nothing that it could be the entry of.
    Stale,
    /// The last name of the object is gone.
    Orphan,
}

/// Finds out what `entry`, which is called `name`, is worth.
///
/// Returns `EINVAL` or `ENODATA` for what this version cannot have made, and other errors of the
/// layers.
pub(crate) fn examine(
    m: &AsMounter,
    ofs: &Super,
    entry: &Dentry<Foreign>,
    name: &[u8],
) -> Result<Worth> {
    match try_examine(m, ofs, entry, name) {
        Err(err) => {
            log::warn_dentry(c"failed to verify index", entry, err);
            if err.is(ESTALE) {
                Ok(Worth::Stale)
            } else {
                Err(err)
            }
        }
        Ok(Worth::Orphan) => {
            log::warn_dentry(c"orphan index entry", entry, ENOENT);
            Ok(Worth::Orphan)
        }
        Ok(worth) => Ok(worth),
    }
}

/// As [`examine`], with `ESTALE` for [`Worth::Stale`].
fn try_examine(m: &AsMounter, ofs: &Super, entry: &Dentry<Foreign>, name: &[u8]) -> Result<Worth> {
    let mut bytes = index::Bytes::default();
    let handle = parse_name(name, &mut bytes)?;
    // Whiteouts have no attributes. Whether a directory's upper one is still there is only worth
    // finding out where handles of directories are decoded.
    if entry.is_whiteout_device() || (entry.is_dir() && !ofs.config.nfs_export) {
        return Ok(Worth::Good);
    }
    let upper = match upper_of(m, ofs, entry, Accept::Any) {
        Ok(upper) => upper.ok_or(reason::HANDLE_OF_NOTHING)?,
        // The upper directory was removed.
        Err(err) if err.is(ESTALE) => return Ok(Worth::Orphan),
        Err(err) => return Err(err),
    };
    let path = ofs.upper_path(&upper)?;
    handle::verify(m, &ofs.config, path, Name::Origin, handle)?;
    if entry.is_dir() || entry.inode().is_some_and(|inode| inode.nlink() != 1) {
        return Ok(Worth::Good);
    }
    // No upper name is left, but there may be lower ones.
    let (lower, _) = origin::decode(m, ofs, handle, entry)?;
    let links = Links {
        lower: &lower,
        upper: entry,
    };
    Ok(match links.of_union(m, ofs, true, 0) {
        0 => Worth::Orphan,
        _ => Worth::Good,
    })
}
