// SPDX-License-Identifier: GPL-2.0

//! The origin of a copied up object: which lower inode it was.
//!
//! It is kept in an attribute of the upper inode, as a file handle, so that the inode number stays
//! the same over copy up and over mounts. An empty attribute says that there was an origin and no
//! handle for it.

use crate::{
    super_data::Super,
    upper::Upper,
    Rovl, //
};
use kernel::{
    prelude::*,
    sync::aref::ARef, //
};
use ondisk::{
    file_handle::{
        self,
        FileHandle,
        HandleError, //
    },
    uuid,
    xattr::Name, //
};
use vfs::{
    cred::AsMounter,
    dentry::Dentry,
    exportfs::Fid,
    inode::Inode,
    log,
    mount::Mount,
    path::LayerPath,
    super_block::FileHandles,
    Layer, //
};

/// The handle of `lower`, or `None` where its file system has none that the mounter could decode.
#[inline]
pub(crate) fn handle_of(
    m: &AsMounter,
    ofs: &Super,
    lower: &Dentry<Layer>,
) -> Result<Option<FileHandle>> {
    let sb = lower.layer_sb();
    if sb.file_handles(m) == FileHandles::None {
        return Ok(None);
    }
    encode(m, ofs, lower, false).map(Some)
}

/// The handle of `real`, which is of the upper layer if `upper`.
#[inline]
pub(crate) fn encode(
    m: &AsMounter,
    ofs: &Super,
    real: &Dentry<Layer>,
    upper: bool,
) -> Result<FileHandle> {
    let fid = real.inode().ok_or(EIO)?.encode_fid(m)?;
    let uuid = if ofs.config.origin_uuid() {
        real.layer_sb().uuid()
    } else {
        uuid::NULL
    };
    FileHandle::encode(fid.kind(), fid.bytes(), &uuid, upper).map_err(|_| EIO)
}

/// Stores `handle` as the origin of `dentry`, an object of the upper layer whose inode is not locked.
pub(crate) fn set(
    upper: &Upper<'_>,
    dentry: &Dentry<Layer>,
    handle: Option<&FileHandle>,
) -> Result {
    let value = handle.map_or(&[][..], FileHandle::as_bytes);
    match upper.set_xattr_or(dentry, Name::Origin, value, Ok(())) {
        // Links and devices cannot have attributes of the namespace `user`.
        Err(err) if err == EPERM => Ok(()),
        result => result,
    }
}

/// Finds the origin of `upper`, with the index of a lower layer on its file system.
///
/// The origin may have been moved, even out of the layer, and its dentry may not be connected to
/// the root: it is good for its inode number, not for its name.
pub(crate) fn find(
    m: &AsMounter,
    ofs: &Super,
    upper: LayerPath<'_>,
) -> Result<Option<(ARef<Dentry<Layer>>, usize)>> {
    let Some(handle) = read(m, ofs, upper)? else {
        return Ok(None);
    };
    let Some((origin, layer)) = decode(m, ofs, &handle)? else {
        return Ok(None);
    };
    let wrong_type = match (upper.dentry.inode(), origin.inode()) {
        (Some(upper), Some(origin)) => upper.wrong_type(origin.mode()),
        _ => true,
    };
    if wrong_type {
        log::warn_dentry(c"invalid origin of another type", upper.dentry, ESTALE);
        return Ok(None);
    }
    Ok(Some((origin, layer)))
}

/// Stores `lower` as the origin of `upper`, the directory that is merged with it, where it has none
/// yet, because it was made offline. That marks `dir`, the parent, as impure, like a copy up.
pub(crate) fn fix(
    m: &AsMounter,
    ofs: &Super,
    dir: &Inode<Rovl>,
    lower: &Dentry<Layer>,
    upper: &Dentry<Layer>,
) -> Result {
    if ofs.has_xattr(m, ofs.upper_path(upper)?, Name::Origin) {
        return Ok(());
    }
    let handle = handle_of(m, ofs, lower)?;
    let write = ofs.upper_mount()?.want_write()?;
    let layer = Upper {
        ofs,
        m,
        write: &write,
    };
    set(&layer, upper, handle.as_ref())?;
    ofs.set_impure(m, &write, dir)
}

/// Reads the handle in the attribute of `upper`. One that is damaged, or was written by something
/// newer, is as good as none.
fn read(m: &AsMounter, ofs: &Super, upper: LayerPath<'_>) -> Result<Option<FileHandle>> {
    let mut short = [0; file_handle::MAX_LEN];
    let mut long = KVVec::new();
    let value = match ofs.get_xattr(m, upper, Name::Origin, &mut short) {
        // What follows a handle is ignored.
        Err(err) if err == ERANGE => upper
            .getxattr_growing(m, ofs.xattr_name(Name::Origin), &mut long)
            .map(|len| long.get(..len)),
        result => result.map(|len| short.get(..len)),
    };
    let value = match value {
        Ok(value) => value.unwrap_or_default(),
        Err(err) if err == ENODATA || err == EOPNOTSUPP => return Ok(None),
        Err(err) if err == ENOMEM => return Err(err),
        Err(err) => {
            log::warn_dentry(c"failed to get origin", upper.dentry, err);
            return Ok(None);
        }
    };
    if value.is_empty() {
        return Ok(None);
    }
    match FileHandle::parse(value) {
        Ok(handle) => Ok(Some(handle)),
        Err(HandleError::Unknown) => Ok(None),
        Err(_) => {
            log::warn_dentry(c"invalid origin", upper.dentry, EINVAL);
            Ok(None)
        }
    }
}

/// Finds the inode of `handle` in the lower layers, one of whose file systems has its UUID.
fn decode(
    m: &AsMounter,
    ofs: &Super,
    handle: &FileHandle,
) -> Result<Option<(ARef<Dentry<Layer>>, usize)>> {
    if !m.may_decode_fids() {
        return Ok(None);
    }
    let Ok(fid) = Fid::new(i32::from(handle.fid_type()), handle.fid()) else {
        return Ok(None);
    };
    for layer in 1..=ofs.mounts.num_lower() {
        if has_ambiguous_uuid(ofs, layer) {
            continue;
        }
        let Some(mount) = ofs.mounts.get(layer) else {
            continue;
        };
        if !uuid_matches(ofs, mount, handle) {
            continue;
        }
        match mount.decode_fid(m, &fid) {
            Ok(origin) if !origin.is_weird() => return Ok(Some((origin, layer))),
            Ok(_) => {}
            // No layer below can have what is said to be in the upper one.
            Err(err) if err == ESTALE && handle.is_upper() => return Ok(None),
            Err(err) if err == ESTALE => {}
            Err(err) => return Err(err),
        }
    }
    Ok(None)
}

/// Whether the UUID of the file system of `layer` does not tell it from the others. The upper file
/// system needs none.
fn has_ambiguous_uuid(ofs: &Super, layer: usize) -> bool {
    let fsid = ofs.fsid(layer);
    fsid != 0 && ofs.filesystems.get(fsid).is_some_and(|fs| fs.bad_uuid)
}

fn uuid_matches(ofs: &Super, mount: &Mount, handle: &FileHandle) -> bool {
    if ofs.config.origin_uuid() {
        handle.uuid() == mount.sb().uuid()
    } else {
        uuid::is_null(&handle.uuid())
    }
}
