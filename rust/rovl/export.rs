// SPDX-License-Identifier: GPL-2.0

//! File handles that recognise an object, for fanotify(7) and `name_to_handle_at(AT_HANDLE_FID)`.
//!
//! They do not change at copy up: what has an origin below is known by that one.

use crate::{
    entry::InodeExt,
    handle,
    Rovl, //
};
use ondisk::file_handle::WIRE_TYPE;
use vfs::{
    dentry::Dentry,
    export::{
        Encoded,
        Operations, //
    },
    inode::Inode,
    Layer, //
};

/// Handles that cannot be decoded.
pub(crate) struct Fids;

impl Operations for Fids {
    type FileSystem = Rovl;

    fn encode_fh(inode: &Inode<Rovl>, handle: &mut [u8]) -> Option<Encoded> {
        let ofs = inode.ofs();
        let (real, upper) = identity(inode)?;
        let made = ofs
            .as_mounter(|m| handle::encode(m, &ofs.config, real, upper))
            .ok()?;
        let wire = made.as_wire();
        if let Some(handle) = handle.get_mut(..wire.len()) {
            handle.copy_from_slice(wire);
        }
        Some(Encoded {
            kind: u8::try_from(WIRE_TYPE).ok()?,
            len: wire.len(),
        })
    }
}

/// The object of a layer that stands for the inode, and whether it is the upper one.
fn identity(inode: &Inode<Rovl>) -> Option<(&Dentry<Layer>, bool)> {
    let lower = inode.lower().first().map(|entry| (entry.dentry(), false));
    let upper = inode.upper().map(|upper| (upper, true));
    let root = inode.sb().root().and_then(Dentry::inode);
    let is_root = root.is_some_and(|root| root.is(inode));
    if is_root {
        // The root has no origin: which lower roots it is made of can change between mounts.
        upper.or(lower)
    } else {
        lower.or(upper)
    }
}
