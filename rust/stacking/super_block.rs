// SPDX-License-Identifier: GPL-2.0

//! Super blocks of layers.

use crate::{
    cred::AsMounter,
    path::LayerPath, //
};
use kernel::{
    error::to_result,
    prelude::*, //
};
use vfs::{
    bindings,
    super_block::{
        Statfs,
        SuperBlock, //
    },
    Foreign, //
};

/// How a layer's file system makes file handles, see [`ForeignSuperBlock::file_handles`].
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum FileHandles {
    /// It has none, or the mounter may not decode them.
    None,
    /// The default kind, with an inode number of 32 bits.
    Ino32,
    /// A kind of its own.
    Other,
}

/// What is asked of the file system of a layer.
pub trait ForeignSuperBlock {
    /// How it makes file handles. The mounter's credentials have to be in force.
    fn file_handles(&self, as_mounter: &AsMounter) -> FileHandles;
}

impl ForeignSuperBlock for SuperBlock<Foreign> {
    fn file_handles(&self, _as_mounter: &AsMounter) -> FileHandles {
        // SAFETY: Valid by the type invariant.
        match unsafe { bindings::rvfs_can_decode_fh(self.as_raw()) } {
            0 => FileHandles::None,
            1 => FileHandles::Ino32,
            _ => FileHandles::Other,
        }
    }
}

/// Numbers of a file system that are those of a layer.
pub trait StatfsExt {
    /// Asks a layer (`vfs_statfs()`).
    fn of_layer(&mut self, path: LayerPath<'_>) -> Result;
}

impl StatfsExt for Statfs {
    fn of_layer(&mut self, path: LayerPath<'_>) -> Result {
        // SAFETY: The path is valid and the buffer the caller's.
        to_result(unsafe { bindings::vfs_statfs(&path.to_raw(), self.as_raw()) })
    }
}

/// The longest name that the file system of `path` takes (`statfs.f_namelen`).
pub fn layer_namelen(path: LayerPath<'_>) -> Result<c_long> {
    let mut statfs = bindings::kstatfs::default();
    // SAFETY: The path is valid and the buffer local.
    to_result(unsafe { bindings::vfs_statfs(&path.to_raw(), &mut statfs) })?;
    Ok(statfs.f_namelen)
}
