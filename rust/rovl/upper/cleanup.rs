// SPDX-License-Identifier: GPL-2.0

//! Removing what is left over in the upper layer: single objects, and the old work directory.

use crate::{
    listing::names::{
        some_names,
        Names, //
    },
    object::log,
    upper::temp_name, //
};
use kernel::prelude::*;
use ondisk::workdir::INCOMPAT;
use stacking::{
    copy,
    cred::AsMounter,
    mount::WriteGuard,
    namei::Target,
    path::LayerPath, //
};
use vfs::{
    dentry::Dentry,
    iattr::Iattr,
    namei::RenameFlags,
    Foreign,
    Ref, //
};

/// The mode of a directory for its owner, who is the mounter, only.
// CAST: a constant that fits.
pub(crate) const DIR_MODE: u16 = kernel::bindings::S_IFDIR as u16 | 0o700;

/// Removes `child` of `dir`, a directory only if it is empty.
///
/// That it could not be removed is only reported in the log, because nobody can do more about it.
/// An error means that it is not there any more, or that `dir` cannot be locked.
pub(crate) fn remove(
    m: &AsMounter,
    write: &WriteGuard<'_>,
    dir: &Dentry<Foreign>,
    child: &Dentry<Foreign>,
) -> Result {
    let removing = write.start_removing_dentry(m, dir, child)?;
    if let Err(err) = removing.remove() {
        log::warn_dentry(c"cleanup of what is left over failed", child, err);
    }
    Ok(())
}

/// The same, where nobody can do more about any error.
pub(crate) fn remove_logged(
    m: &AsMounter,
    write: &WriteGuard<'_>,
    dir: &Dentry<Foreign>,
    child: &Dentry<Foreign>,
) {
    if let Err(err) = remove(m, write, dir, child) {
        log::warn_dentry(c"cleanup of what is left over failed", child, err);
    }
}

/// Removes `whiteouts`, which are all that there is in the upper directory `dir`.
pub(crate) fn cleanup_whiteouts(
    m: &AsMounter,
    write: &WriteGuard<'_>,
    dir: &Dentry<Foreign>,
    whiteouts: &Names,
) {
    for name in whiteouts.iter() {
        let child = LayerPath::new(write.mount(), dir).and_then(|path| path.lookup(m, name));
        let removed = match child {
            Ok(child) if child.is_negative() => Ok(()),
            Ok(child) => remove(m, write, dir, &child),
            Err(err) => Err(err),
        };
        // Removing the directory will fail, and say so.
        if let Err(err) = removed {
            log::warn_name(c"cannot remove a whiteout", dir, name, err);
        }
    }
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

/// How many directories, one in the other, are held at a time. A deeper one is moved up.
const MAX_DEPTH: usize = 512;

/// How many names of a directory are read at a time.
const MAX_NAMES: usize = 4096;

/// Removes the work directory `work` of an earlier mount from `base`, with its contents.
pub(crate) fn remove_work(
    m: &AsMounter,
    write: &WriteGuard<'_>,
    base: &Dentry<Foreign>,
    work: &Dentry<Foreign>,
) -> Result<(), Unclean> {
    if work.is_dir() {
        if try_rmdir(m, write, base, work)? {
            return Ok(());
        }
        make_accessible(m, write, work);
        check_features(m, write, work)?;
    }
    Ok(remove_leftover(m, write, base, work)?)
}

/// Removes `entry` from `dir`, with its contents, however deep.
///
/// Stops at what cannot be removed, where something is mounted, for one, and after a fatal signal.
pub(crate) fn remove_leftover(
    m: &AsMounter,
    write: &WriteGuard<'_>,
    dir: &Dentry<Foreign>,
    entry: &Dentry<Foreign>,
) -> Result {
    if !entry.is_dir() {
        return unlink(m, write, dir, entry);
    }
    // From `entry` downwards, each in the one before.
    let mut dirs = KVec::new();
    dirs.push(Ref::from(entry), GFP_KERNEL)?;
    while let Some((last, above)) = dirs.split_last() {
        let parent = above.last().map_or(dir, |parent| parent);
        if try_rmdir(m, write, parent, last)? {
            dirs.pop();
            continue;
        }
        make_accessible(m, write, last);
        let Some(inside) = remove_entries(m, write, last)? else {
            continue;
        };
        if dirs.len() < MAX_DEPTH {
            dirs.push(inside, GFP_KERNEL)?;
        } else {
            move_up(m, write, (last, &inside), entry)?;
        }
    }
    Ok(())
}

/// Removes some of the entries of `dir`. Returns a directory among them that is not empty.
fn remove_entries<'a>(
    m: &AsMounter,
    write: &WriteGuard<'a>,
    dir: &Dentry<Foreign>,
) -> Result<Option<Ref<'a, Dentry<Foreign>>>> {
    let path = LayerPath::new(write.mount(), dir)?;
    let mut removed = false;
    for name in some_names(m, path, MAX_NAMES)?.iter() {
        if copy::is_killed() {
            return Err(EINTR);
        }
        let child = path.lookup(m, name)?;
        // Somebody else may have removed it.
        if child.is_negative() {
            continue;
        }
        if !child.is_dir() {
            unlink(m, write, dir, &child)?;
        } else if !try_rmdir(m, write, dir, &child)? {
            return write.mount().adopt(child).map(Some);
        }
        removed = true;
    }
    // Nothing that could be removed, and still not empty: that would go on for ever.
    if removed {
        Ok(None)
    } else {
        Err(ENOTEMPTY)
    }
}

/// Removes a directory, if it is empty. Whether it was.
fn try_rmdir(
    m: &AsMounter,
    write: &WriteGuard<'_>,
    parent: &Dentry<Foreign>,
    dir: &Dentry<Foreign>,
) -> Result<bool> {
    match write.start_removing_dentry(m, parent, dir)?.rmdir() {
        Ok(()) => Ok(true),
        Err(err) if err == ENOTEMPTY || err == EEXIST => Ok(false),
        Err(err) => told(dir, err),
    }
}

/// Removes what is not a directory.
fn unlink(
    m: &AsMounter,
    write: &WriteGuard<'_>,
    parent: &Dentry<Foreign>,
    child: &Dentry<Foreign>,
) -> Result {
    let removing = write.start_removing_dentry(m, parent, child)?;
    removing.unlink().or_else(|err| told(child, err))
}

fn told<T>(dentry: &Dentry<Foreign>, err: Error) -> Result<T> {
    log::warn_dentry(c"cleanup of what is left over failed", dentry, err);
    Err(err)
}

/// Moves `inside` from its directory to `top`, where it is found later.
fn move_up(
    m: &AsMounter,
    write: &WriteGuard<'_>,
    (dir, inside): (&Dentry<Foreign>, &Dentry<Foreign>),
    top: &Dentry<Foreign>,
) -> Result {
    // Its entry `..` is written.
    make_accessible(m, write, inside);
    let name = temp_name();
    let new = (top, name.as_bytes());
    write
        .start_renaming_dentry(m, (dir, inside), new, Target::New, RenameFlags::NONE)?
        .rename()
        .or_else(|err| told(inside, err))
}

/// Gives the owner of a directory the right to use it, which the in-tree module takes from its own.
///
/// Who does not own it may have the right otherwise.
pub(crate) fn make_accessible(m: &AsMounter, write: &WriteGuard<'_>, dir: &Dentry<Foreign>) {
    // Anything may be in the place of one.
    if !dir.is_dir() {
        return;
    }
    let Some(inode) = dir.inode().filter(|inode| inode.mode() & 0o700 != 0o700) else {
        return;
    };
    let lock = inode.lock();
    let _ = write.notify_change(m, &lock, dir, &mut Iattr::mode(DIR_MODE));
}

/// Refuses a work directory that was made with features that this version does not know.
fn check_features(
    m: &AsMounter,
    write: &WriteGuard<'_>,
    work: &Dentry<Foreign>,
) -> Result<(), Unclean> {
    let path = LayerPath::new(write.mount(), work)?;
    let dir = path.lookup(m, INCOMPAT.to_bytes())?;
    if !dir.is_dir() {
        return Ok(());
    }
    make_accessible(m, write, &dir);
    let path = LayerPath::new(write.mount(), &dir)?;
    let names = some_names(m, path, 1)?;
    let Some(feature) = names.iter().next() else {
        return Ok(());
    };
    let mut name = KVec::new();
    name.extend_from_slice(feature, GFP_KERNEL)
        .map_err(Error::from)?;
    Err(Unclean::Incompatible(name))
}
