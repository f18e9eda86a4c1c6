// SPDX-License-Identifier: GPL-2.0

//! The origin of a copied up object: which lower inode it was.
//!
//! It is kept in an attribute of the upper inode, as a file handle, so that the inode number stays
//! the same over copy up and over mounts. An empty attribute says that there was an origin and no
//! handle for it.

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
use core::sync::atomic::Ordering;
use kernel::prelude::*;
use ondisk::{
    file_handle::FileHandle,
    xattr::Name, //
};
use stacking::{
    cred::AsMounter,
    exportfs::{
        Accept,
        MayDecode, //
    },
    path::LayerPath, //
};
use vfs::{
    dentry::Dentry,
    errno::WithReason,
    Foreign,
    Ref, //
};

/// Finds the origin of `upper`, with the index of a lower layer on its file system.
///
/// The origin may have been moved, even out of the layer, and its dentry may not be connected to
/// the root: it is good for its inode number, not for its name.
pub(crate) fn find<'a>(
    m: &AsMounter,
    ofs: &'a Super,
    upper: LayerPath<'_>,
) -> Result<Option<(Ref<'a, Dentry<Foreign>>, usize)>> {
    let mut room = Room::new();
    let Some(handle) = handle::read(m, &ofs.config, upper, Name::Origin, &mut room)? else {
        return Ok(None);
    };
    match decode(m, ofs, handle, upper.dentry) {
        Ok(found) => Ok(Some(found)),
        Err(err) if err.is(ESTALE) => Ok(None),
        Err(err) => Err(err),
    }
}

/// Finds the lower object of `handle`, and the index of a lower layer on its file system.
///
/// Returns `ESTALE` where there is none, and where it is of another type than `upper`, of which it
/// ought to be the origin.
pub(crate) fn decode<'a>(
    m: &AsMounter,
    ofs: &'a Super,
    handle: FileHandle<'_>,
    upper: &Dentry<Foreign>,
) -> Result<(Ref<'a, Dentry<Foreign>>, usize)> {
    let (origin, layer) = decode_in_any(m, MayDecode::by_mounter(m), ofs, handle, Accept::Any)?
        .ok_or(reason::HANDLE_OF_NOTHING)?;
    let wrong_type = match (upper.inode(), origin.inode()) {
        (Some(upper), Some(origin)) => upper.wrong_type(origin.mode()),
        _ => true,
    };
    if wrong_type {
        log::warn_dentry(
            c"invalid origin of another type",
            upper,
            reason::ORIGIN_OF_ANOTHER_TYPE,
        );
        return Err(reason::ORIGIN_OF_ANOTHER_TYPE);
    }
    Ok((origin, layer))
}

/// Finds the object of `handle` in the lower layers, one of whose file systems has its UUID. Of layers
/// on one file system it is the topmost one, unless `accept` makes a difference.
#[inline]
pub(crate) fn decode_in_any<'a>(
    m: &AsMounter,
    may_decode: Option<MayDecode>,
    ofs: &'a Super,
    handle: FileHandle<'_>,
    accept: Accept,
) -> Result<Option<(Ref<'a, Dentry<Foreign>>, usize)>> {
    for layer in 1..=ofs.num_merged() {
        if has_ambiguous_uuid(ofs, layer) || ofs.mounts.is_gone(layer) {
            continue;
        }
        let Some(root) = ofs.mounts.root(layer) else {
            continue;
        };
        if let Some(origin) = handle::decode(m, may_decode, &ofs.config, root, (handle, accept))? {
            return Ok(Some((origin, layer)));
        }
    }
    if ofs.live().is_some() {
        return decode_in_later(m, may_decode, ofs, (handle, accept));
    }
    Ok(None)
}

/// The same in what has become a lower layer since the mount, of which only those matter that are on file systems
/// where no other lower layer is.
#[cold]
fn decode_in_later<'a>(
    m: &AsMounter,
    may_decode: Option<MayDecode>,
    ofs: &'a Super,
    (handle, accept): (FileHandle<'_>, Accept),
) -> Result<Option<(Ref<'a, Dentry<Foreign>>, usize)>> {
    let is_lower = |layer: usize| !ofs.mounts.is_gone(layer) && layer != ofs.mounts.upper_index();
    let had = |fsid: usize| {
        let mut lower = 1..=ofs.num_merged();
        lower.any(|layer| is_lower(layer) && ofs.fsid(layer) == fsid)
    };
    let first = ofs.mounts.num_lower().saturating_add(1);
    let later = (0..ofs.mounts.num_later()).map(|place| first.saturating_add(place));
    let mut tried = None;
    for layer in Iterator::chain(core::iter::once(0), later) {
        let fsid = ofs.fsid(layer);
        if tried == Some(fsid) || !is_lower(layer) || (!ofs.came_later(fsid) && had(fsid)) {
            continue;
        }
        if has_ambiguous_uuid(ofs, layer) {
            continue;
        }
        tried = Some(fsid);
        let root = ofs.mounts.root(layer).ok_or(reason::NO_SUCH_LAYER)?;
        if let Some(origin) = handle::decode(m, may_decode, &ofs.config, root, (handle, accept))? {
            return Ok(Some((origin, layer)));
        }
    }
    Ok(None)
}

/// Whether the UUID of the file system of `layer` does not tell it from the others. The upper file
/// system needs none.
fn has_ambiguous_uuid(ofs: &Super, layer: usize) -> bool {
    let fsid = ofs.fsid(layer);
    let fs = ofs.filesystem(fsid).filter(|_| fsid != 0);
    // ORDERING: It changes with the layers, and with them what is looked up.
    fs.is_some_and(|fs| fs.bad_uuid.load(Ordering::Relaxed))
}
