// SPDX-License-Identifier: GPL-2.0

//! File handles: making and decoding them.
//!
//! With `nfs_export=on` they can be decoded, by open_by_handle_at(2) and the NFS server. Without it
//! they only recognise an object, for fanotify(7) and `name_to_handle_at(AT_HANDLE_FID)`. They do
//! not change at copy up: what has an origin below is known by that one.
//!
//! May use `upper`, `identity`, `object`, `observe`.

mod connect;
mod decode;
mod encode;

use crate::{
    object::log,
    Rovl, //
};
use kernel::prelude::*;
use vfs::{
    export::{
        Encoded,
        Found,
        Handle,
        Operations, //
    },
    inode::Inode,
    super_block::SuperBlock, //
};

/// Handles that cannot be decoded.
pub(crate) struct Fids;

#[vtable]
impl Operations for Fids {
    type FileSystem = Rovl;

    #[inline]
    fn encode_fh(
        inode: &Inode<Rovl>,
        handle: &mut [u8],
        parent: Option<&Inode<Rovl>>,
    ) -> Option<Encoded> {
        encode::encode(inode, handle, parent)
    }
}

/// Handles that can be decoded.
pub(crate) struct Exported;

#[vtable]
impl Operations for Exported {
    type FileSystem = Rovl;

    #[inline]
    fn encode_fh(
        inode: &Inode<Rovl>,
        handle: &mut [u8],
        parent: Option<&Inode<Rovl>>,
    ) -> Option<Encoded> {
        encode::encode(inode, handle, parent)
    }

    #[inline]
    fn fh_to_dentry<'a>(sb: &'a SuperBlock<Rovl>, handle: Handle<'_>) -> Found<'a, Rovl> {
        decode::decode(sb, handle)
    }

    #[inline]
    fn fh_to_parent<'a>(_sb: &'a SuperBlock<Rovl>, _handle: Handle<'_>) -> Found<'a, Rovl> {
        log::warn(
            c"connectable file handles not supported; use 'no_subtree_check' exportfs option",
        );
        Err(EACCES)
    }
}
