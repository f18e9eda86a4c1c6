// SPDX-License-Identifier: GPL-2.0

//! The index: a directory beside `work` with an entry for each lower object that was copied up and
//! has to be recognised by other names than the one that it was copied up under.
//!
//! The name of an entry is the file handle of the lower object. A file is copied up as its entry,
//! and the names of the upper layer are hard links of it, so that a lookup of another name of the
//! lower file finds it there. The entry of a directory is an empty one, with the handle of the
//! upper directory in the attribute `upper`. A whiteout stands for what was removed.
//!
//! With `index=on` lower files with several names are indexed. `nfs_export=on` needs an entry for
//! everything that is copied up, and for directories too.
//!
//! The index is the work directory as well: what is made there gets its place by a rename, or a
//! link.

pub(crate) mod verify;

use crate::{
    identity::handle::{
        self,
        Room, //
    },
    object::{
        log,
        reason,
        super_data::Super, //
    }, //
};
use kernel::prelude::*;
use ondisk::{
    file_handle::FileHandle,
    index::{
        self,
        IndexName, //
    },
    xattr::Name, //
};
use stacking::{
    cred::AsMounter,
    exportfs::{
        Accept,
        MayDecode, //
    },
    prelude::*, //
};
use vfs::{
    dentry::Dentry,
    errno::WithReason,
    Foreign,
    Ref, //
};

/// The name of the entry for `lower`.
///
/// The lower layer may be an overlay that copies up for this, so the caller holds no write access to
/// the upper one.
pub(crate) fn name_of(m: &AsMounter, ofs: &Super, lower: &Dentry<Foreign>) -> Result<IndexName> {
    let handle = handle::encode(m, &ofs.config, lower, false)?;
    index::name(handle.get()).ok_or(ENAMETOOLONG)
}

/// Looks for the entry of the lower object `origin`, of which `upper` is known to be the upper part,
/// if there is one.
///
/// Where there is none, no name of `origin` was copied up, or it was so without an index. The same
/// is true where the entry of a file is not `upper`, and that is as good as none. With `verify` a
/// whiteout, and a directory that leads to anything but `upper`, is an error: a lookup does not find
/// `origin` any more then. Without, for a file handle, a whiteout means `ESTALE`.
///
/// Returns `EIO` for an entry that cannot be that of `origin`.
pub(crate) fn lookup<'a>(
    m: &AsMounter,
    ofs: &'a Super,
    upper: Option<&Dentry<Foreign>>,
    origin: &Dentry<Foreign>,
    verify: bool,
) -> Result<Option<Ref<'a, Dentry<Foreign>>>> {
    let Some(dir) = ofs.index_dir() else {
        return Ok(None);
    };
    let name = name_of(m, ofs, origin)?;
    let entry = match ofs.upper_path(dir)?.lookup(m, &name) {
        Ok(entry) if entry.is_negative() => return Ok(None),
        Ok(entry) => entry,
        Err(err) if err == ENOENT => return Ok(None),
        Err(err) => {
            log::warn_name(
                c"failed inode index lookup; mount with '-o index=off' to disable inodes index",
                dir,
                &name,
                err,
            );
            return Err(err);
        }
    };
    if entry.is_whiteout_device() && !verify {
        return Err(reason::REMOVED_BY_INDEX);
    }
    let (Some(inode), Some(origin_inode)) = (entry.inode(), origin.inode()) else {
        return Err(reason::NEGATIVE_IN_LAYER);
    };
    // A whiteout is none of these, or origin is one itself.
    let wrong = inode.wrong_type(origin_inode.mode()) || entry.is_whiteout_device();
    if entry.is_weird() || wrong {
        log::warn_dentry(c"bad index found", &entry, reason::INDEX_OF_ANOTHER_TYPE);
        return Err(reason::INDEX_OF_ANOTHER_TYPE);
    }
    if origin.is_dir() && verify {
        verify_dir(m, ofs, &entry, upper, origin)?;
    } else if upper.is_some_and(|upper| !upper.inode().is_some_and(|upper| upper.is(inode))) {
        return Ok(None);
    }
    Ok(Some(entry))
}

/// Checks that `entry`, that of the directory `origin`, leads to `upper`. Otherwise there is another
/// directory that is merged with `origin`, by a redirect that the lookup has not seen.
fn verify_dir(
    m: &AsMounter,
    ofs: &Super,
    entry: &Dentry<Foreign>,
    upper: Option<&Dentry<Foreign>>,
    origin: &Dentry<Foreign>,
) -> Result {
    let Some(upper) = upper else {
        log::warn_dentry(
            c"suspected uncovered redirected dir found",
            origin,
            reason::UNCOVERED_REDIRECT,
        );
        return Err(reason::UNCOVERED_REDIRECT);
    };
    ofs.verify_upper(m, entry, upper).map_err(|err| {
        if err.is(ESTALE) {
            log::warn_dentry(
                c"suspected multiply redirected dir found",
                upper,
                reason::REDIRECTED_TWICE,
            );
        }
        reason::REDIRECTED_TWICE
    })
}

/// Looks for the entry of the lower object that `handle` identifies.
///
/// Returns `ESTALE` for a whiteout: the object was removed.
pub(crate) fn of_handle<'a>(
    m: &AsMounter,
    ofs: &'a Super,
    handle: FileHandle<'_>,
) -> Result<Option<Ref<'a, Dentry<Foreign>>>> {
    let Some(dir) = ofs.index_dir() else {
        return Ok(None);
    };
    let name = index::name(handle).ok_or(ENAMETOOLONG)?;
    let entry = ofs.upper_path(dir)?.lookup(m, &name)?;
    if entry.is_negative() {
        Ok(None)
    } else if entry.is_whiteout_device() {
        Err(reason::REMOVED_BY_INDEX)
    } else if entry.is_weird() {
        Err(reason::WEIRD_INDEX)
    } else {
        Ok(Some(entry))
    }
}

/// The upper object to which `entry` leads, which is as `accept` says. `None` where it does not say.
///
/// Returns `ESTALE` where it is gone, and `EIO` where it cannot be that of `entry`.
pub(crate) fn upper_of<'a>(
    m: &AsMounter,
    ofs: &'a Super,
    entry: &Dentry<Foreign>,
    accept: Accept,
) -> Result<Option<Ref<'a, Dentry<Foreign>>>> {
    if !entry.is_dir() {
        return ofs.keep_upper(Ref::from(entry)).map(Some);
    }
    let path = ofs.upper_path(entry)?;
    let mut room = Room::new();
    let Some(upper) = handle::read(m, &ofs.config, path, Name::Upper, &mut room)? else {
        return Ok(None);
    };
    let may_decode = MayDecode::by_mounter(m);
    let root = ofs.mounts.root(0).ok_or(EROFS)?;
    let upper = handle::decode(m, may_decode, &ofs.config, root, (upper, accept))?;
    let upper = upper.ok_or(reason::HANDLE_OF_NOTHING)?;
    if !upper.is_dir() {
        log::warn_dentry(c"invalid index upper", entry, reason::INDEX_UPPER);
        return Err(reason::INDEX_UPPER);
    }
    Ok(Some(upper))
}

/// Reads the name of an entry. Returns `EINVAL` for one that no version gives, and `ENODATA` for one
/// of a version that this one does not know.
pub(crate) fn parse_name<'a>(name: &[u8], bytes: &'a mut index::Bytes) -> Result<FileHandle<'a>> {
    index::parse(name, bytes).map_err(crate::object::fault::to_error)
}
