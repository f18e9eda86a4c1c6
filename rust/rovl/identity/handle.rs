// SPDX-License-Identifier: GPL-2.0

//! File handles of objects of layers, and the attributes that hold one: `origin` and `upper`.

use crate::object::{
    config::Config,
    log,
    reason,
    super_data::Super, //
};
use kernel::prelude::*;
use ondisk::{
    file_handle::{
        self,
        FileHandle,
        HandleError,
        MadeHandle, //
    },
    xattr::Name, //
};
use stacking::{
    cred::AsMounter,
    exportfs::{
        Accept,
        MayDecode, //
    },
    mount::UpperMount,
    path::LayerPath,
    prelude::*,
    super_block::FileHandles, //
};
use vfs::{
    dentry::Dentry,
    errno::WithReason,
    mount::Mount,
    Foreign,
    Ref, //
};

/// The length up to which a stored handle is read at once. Those of file systems without handles
/// of others in them are a third of it.
const SHORT: usize = 96 - file_handle::WIRE_OFFSET;

/// Room for a handle that is stored in an attribute, in which the identifier of the file system is
/// on a boundary of words.
#[repr(C, align(8))]
pub(crate) struct Room {
    short: [u8; file_handle::WIRE_OFFSET + SHORT],
    long: Option<KVVec<u8>>,
}

impl Room {
    #[inline]
    pub(crate) const fn new() -> Self {
        Self {
            short: [0; file_handle::WIRE_OFFSET + SHORT],
            long: None,
        }
    }
}

/// The handle of `lower` as an origin, or `None` where its file system has none that the mounter
/// could decode.
///
/// With an index the mount has found that all layers have handles. Security modules are not asked
/// again, because an index cannot do without.
#[inline]
pub(crate) fn of_origin(
    m: &AsMounter,
    config: &Config,
    lower: &Dentry<Foreign>,
) -> Result<Option<MadeHandle>> {
    if !config.index && lower.layer_sb().file_handles(m) == FileHandles::None {
        return Ok(None);
    }
    encode(m, config, lower, false).map(Some)
}

/// The handle of `real`, which is of the upper layer if `upper`.
#[inline]
pub(crate) fn encode(
    m: &AsMounter,
    config: &Config,
    real: &Dentry<Foreign>,
    upper: bool,
) -> Result<MadeHandle> {
    let mut made = MadeHandle::empty();
    encode_into(m, config, (real, upper), &mut made)?;
    Ok(made)
}

/// The same, made in place.
#[inline]
pub(crate) fn encode_into(
    m: &AsMounter,
    config: &Config,
    (real, upper): (&Dentry<Foreign>, bool),
    made: &mut MadeHandle,
) -> Result {
    let inode = real.inode().ok_or(reason::NEGATIVE_IN_LAYER)?;
    let uuid = if config.origin_uuid() {
        real.layer_sb().uuid()
    } else {
        ondisk::uuid::NULL
    };
    made.fill(&uuid, upper, |fid| inode.encode_fid(m, fid).ok())
        .map_err(|_| reason::HANDLE_LENGTH)
}

/// Finds the object of `handle` on the file system of the layer with the root `root`, where it is as
/// `accept` says.
///
/// Returns `None` where there is none, or it may not be looked for, and `ESTALE` if it is one of the
/// upper layer that is gone.
#[inline]
pub(crate) fn decode<'a>(
    m: &AsMounter,
    may_decode: Option<MayDecode>,
    config: &Config,
    root: LayerPath<'a>,
    (handle, accept): (FileHandle<'_>, Accept),
) -> Result<Option<Ref<'a, Dentry<Foreign>>>> {
    let Some(may_decode) = may_decode.filter(|_| uuid_matches(config, root.mount, handle)) else {
        return Ok(None);
    };
    let fid = (i32::from(handle.fid_type()), handle.fid());
    match root.decode_fid(m, may_decode, fid, accept) {
        Ok(real) if !real.is_weird() => Ok(Some(real)),
        Ok(_) => Ok(None),
        Err(err) if err.is(ESTALE) && !handle.is_upper() => Ok(None),
        Err(err) => Err(err),
    }
}

fn uuid_matches(config: &Config, mount: &Mount, handle: FileHandle<'_>) -> bool {
    if config.origin_uuid() {
        handle.uuid() == mount.sb().uuid()
    } else {
        ondisk::uuid::is_null(&handle.uuid())
    }
}

/// Reads the handle in the attribute `name` of an object of the upper layer. One that is damaged, or
/// was written by something newer, is as good as none.
pub(crate) fn read<'a>(
    m: &AsMounter,
    config: &Config,
    path: LayerPath<'_>,
    name: Name,
    room: &'a mut Room,
) -> Result<Option<FileHandle<'a>>> {
    let full_name = name.full(config.namespace());
    let short = room.short.get_mut(file_handle::WIRE_OFFSET..);
    let short = short.unwrap_or_default();
    // What follows a handle is ignored, but may be there.
    let value = match path.getxattr_in(m, full_name, short, &mut room.long) {
        Ok(value) => value,
        Err(err) if err == ENODATA || err == EOPNOTSUPP => return Ok(None),
        Err(err) if err == ENOMEM => return Err(err),
        Err(err) => {
            log::warn_dentry(c"failed to get a file handle", path.dentry, err);
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
            log::warn_dentry(c"invalid file handle", path.dentry, reason::FORMAT);
            Ok(None)
        }
    }
}

/// Checks that the attribute `name` of an object of the upper layer holds `handle`.
///
/// Returns `ESTALE` where it holds another one, and `ENODATA` where it holds none.
pub(crate) fn verify(
    m: &AsMounter,
    config: &Config,
    path: LayerPath<'_>,
    name: Name,
    handle: FileHandle<'_>,
) -> Result {
    match read(m, config, path, name, &mut Room::new())? {
        Some(stored) if stored == handle => Ok(()),
        Some(_) => Err(reason::VERIFY_OTHER),
        None => Err(ENODATA),
    }
}

/// As [`verify`], but gives the object, one of the upper layer, the attribute where it has none.
pub(crate) fn verify_or_set(
    m: &AsMounter,
    config: &Config,
    (mount, dentry): (UpperMount<'_>, &Dentry<Foreign>),
    name: Name,
    handle: FileHandle<'_>,
) -> Result {
    let path = LayerPath::new(mount.mount(), dentry)?;
    match verify(m, config, path, name, handle) {
        Err(err) if err == ENODATA => {
            let write = mount.want_write()?;
            let full_name = name.full(config.namespace());
            write.setxattr(m, dentry, full_name, handle.as_bytes())
        }
        result => result,
    }
}

impl Super {
    /// Checks that the attribute `origin` of `upper` leads to `lower`, see [`verify`].
    pub(crate) fn verify_origin(
        &self,
        m: &AsMounter,
        upper: &Dentry<Foreign>,
        lower: &Dentry<Foreign>,
    ) -> Result {
        self.verify_stored(m, upper, Name::Origin, (lower, false))
            .inspect_err(|&err| log::warn_dentry(c"failed to verify origin", lower, err))
    }

    /// Checks that the attribute `upper` of the index entry `index` leads to `upper`, see [`verify`].
    pub(crate) fn verify_upper(
        &self,
        m: &AsMounter,
        index: &Dentry<Foreign>,
        upper: &Dentry<Foreign>,
    ) -> Result {
        self.verify_stored(m, index, Name::Upper, (upper, true))
            .inspect_err(|&err| log::warn_dentry(c"failed to verify upper", upper, err))
    }

    /// Checks that the attribute `name` of `holder`, an upper object, leads to `object`, which is of
    /// the upper layer if `is_upper`.
    fn verify_stored(
        &self,
        m: &AsMounter,
        holder: &Dentry<Foreign>,
        name: Name,
        (object, is_upper): (&Dentry<Foreign>, bool),
    ) -> Result {
        let handle = encode(m, &self.config, object, is_upper)?;
        verify(
            m,
            &self.config,
            self.upper_path(holder)?,
            name,
            handle.get(),
        )
    }
}
