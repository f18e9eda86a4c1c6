// SPDX-License-Identifier: GPL-2.0

//! `ROVL_IOC_GET_HANDLE`: the file handle that an object has in one of its layers.

use crate::{
    live::position,
    object::{
        entry::{
            DentryExt,
            InodeExt, //
        },
        reason, //
    },
    query::with_object,
    Rovl, //
};
use ioctls::handle::{
    Handle,
    MAX_LEN, //
};
use kernel::prelude::*;
use stacking::{
    exportfs::MayDecode,
    prelude::*, //
};
use vfs::{
    dentry::Dentry,
    file::File,
    Foreign, //
};

/// Room for a handle, on a boundary of words.
#[repr(C, align(8))]
struct Room([u8; MAX_LEN]);

/// Returns `EPERM` for who may not have handles decoded, `ENOENT` where the object has no part in that layer,
/// and `EOPNOTSUPP` where the file system of the layer has no handles.
pub(super) fn get(file: &File<Rovl>, asked: Handle) -> Result<Handle> {
    if MayDecode::by_caller().is_none() {
        return Err(reason::MAY_NOT_HAVE_HANDLES);
    }
    with_object(file, asked.flags, asked.object, |dentry| {
        let inode = dentry.positive()?;
        let real = in_layer(dentry, usize::try_from(asked.layer)?).ok_or(ENOENT)?;
        let real_inode = real.inode().ok_or(ENOENT)?;
        let mut room = Room([0; MAX_LEN]);
        let made = inode
            .ofs()
            .as_mounter(|m| real_inode.encode_fid(m, &mut room.0));
        let (kind, len) = made.map_err(|_| EOPNOTSUPP)?;
        for byte in room.0.iter_mut().skip(len) {
            *byte = 0;
        }
        let dev = real.layer_sb().dev();
        Ok(Handle {
            kind,
            len: u32::try_from(len)?,
            dev_major: dev >> MINOR_BITS,
            dev_minor: dev & ((1 << MINOR_BITS) - 1),
            bytes: room.0,
            ..asked
        })
    })
}

/// `MINORBITS`
const MINOR_BITS: u32 = 20;

/// The part of an object that is in layer `layer`.
fn in_layer(dentry: &Dentry<Rovl>, layer: usize) -> Option<&Dentry<Foreign>> {
    if layer == 0 {
        return dentry.upper();
    }
    let mut lower = dentry.inode()?.lower().iter_found();
    let entry = lower.find(|entry| position(dentry.sb(), entry.layer()) == layer)?;
    Some(entry.dentry())
}
