// SPDX-License-Identifier: GPL-2.0

//! Removing what is left over in the upper layer: single objects, and the old work directory.

use crate::readdir;
use kernel::prelude::*;
use vfs::{
    cred::AsMounter,
    dentry::Dentry,
    log,
    mount::WriteGuard,
    path::LayerPath,
    Layer, //
};

/// Removes `child` of `dir`, a directory only if it is empty.
///
/// That it could not be removed is only reported in the log, because nobody can do more about it.
/// An error means that it is not there any more, or that `dir` cannot be locked.
pub(crate) fn remove(
    m: &AsMounter,
    write: &WriteGuard<'_>,
    dir: &Dentry<Layer>,
    child: &Dentry<Layer>,
) -> Result {
    let removing = write.start_removing_dentry(m, dir, child)?;
    if let Err(err) = removing.remove() {
        log::warn_dentry(c"cleanup of what is left over failed", child, err);
    }
    Ok(())
}

/// Why an old work directory is still there.
pub(crate) enum Unclean {
    /// It was made with a feature of this name, which this version must understand and does not.
    Incompatible(KVec<u8>),
    /// Something else.
    Failed(Error),
}

impl From<Error> for Unclean {
    fn from(err: Error) -> Self {
        Self::Failed(err)
    }
}

impl From<Unclean> for Error {
    fn from(unclean: Unclean) -> Self {
        match unclean {
            Unclean::Incompatible(_) => EINVAL,
            Unclean::Failed(err) => err,
        }
    }
}

/// How far below the work directory something is removed.
///
/// What a mount leaves is at most two directories deep. Deeper ones are left alone, and reported.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Level {
    /// The work directory itself.
    Work,
    /// Its entries.
    Entry,
    /// What is in them.
    Inside,
}

impl Level {
    /// The level of the entries of a directory at this one, if they may be removed with theirs.
    fn below(self) -> Option<Self> {
        match self {
            Self::Work => Some(Self::Entry),
            Self::Entry => Some(Self::Inside),
            Self::Inside => None,
        }
    }
}

/// Removes the work directory `work` of an earlier mount from `base`, with its contents.
pub(crate) fn remove_work(
    m: &AsMounter,
    write: &WriteGuard<'_>,
    base: &Dentry<Layer>,
    work: &Dentry<Layer>,
) -> Result<(), Unclean> {
    remove_level(m, write, base, work, Level::Work)
}

/// Removes `entry`, something in the making, from the index directory `dir`, with its contents.
pub(crate) fn remove_leftover(
    m: &AsMounter,
    write: &WriteGuard<'_>,
    dir: &Dentry<Layer>,
    entry: &Dentry<Layer>,
) -> Result<(), Unclean> {
    remove_level(m, write, dir, entry, Level::Entry)
}

fn remove_level(
    m: &AsMounter,
    write: &WriteGuard<'_>,
    dir: &Dentry<Layer>,
    child: &Dentry<Layer>,
    level: Level,
) -> Result<(), Unclean> {
    let inside = match level.below() {
        Some(inside) if child.is_dir() => inside,
        _ => return Ok(remove(m, write, dir, child)?),
    };
    if write.start_removing_dentry(m, dir, child)?.rmdir().is_ok() {
        return Ok(());
    }
    remove_entries(m, write, child, inside)?;
    Ok(remove(m, write, dir, child)?)
}

/// Removes the entries of `dir`, which are at `level`.
fn remove_entries(
    m: &AsMounter,
    write: &WriteGuard<'_>,
    dir: &Dentry<Layer>,
    level: Level,
) -> Result<(), Unclean> {
    let path = LayerPath::new(write.mount(), dir)?;
    let names = readdir::names(m, path)?;
    if level == Level::Inside && dir.with_name(is_incompat) {
        if let Some(feature) = names.iter().next() {
            let mut name = KVec::new();
            name.extend_from_slice(feature, GFP_KERNEL)
                .map_err(Error::from)?;
            return Err(Unclean::Incompatible(name));
        }
    }
    for name in names.iter() {
        // Somebody else may have removed it.
        if let Ok(child) = path.lookup(m, name) {
            if !child.is_negative() {
                remove_level(m, write, dir, &child, level)?;
            }
        }
    }
    Ok(())
}

/// Whether this is the directory that names features.
fn is_incompat(name: &[u8]) -> bool {
    name == ondisk::workdir::INCOMPAT.to_bytes()
}
