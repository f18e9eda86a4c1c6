// SPDX-License-Identifier: GPL-2.0

//! Super blocks of layers, and what that of a stacking file system takes from them.

use crate::{
    cred::AsMounter,
    path::LayerPath, //
};
use kernel::prelude::*;
use vfs::{
    bindings,
    errno::to_result,
    super_block::{
        NewSuperBlock,
        Statfs,
        SuperBlock, //
    },
    FileSystem,
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

/// A super block of a stacking file system that is being filled.
pub trait NewStackingSuperBlock {
    /// Sets the flags of a stacking file system, and its magic number.
    fn set_stacking(&mut self, magic: c_ulong);

    /// Takes the granularity of times and the lack of security attributes from the upper layer.
    fn take_upper_traits(&mut self, upper: &SuperBlock<Foreign>);
}

impl<F: FileSystem> NewStackingSuperBlock for NewSuperBlock<'_, F> {
    fn set_stacking(&mut self, magic: c_ulong) {
        // SAFETY: Valid by the type invariant.
        unsafe { bindings::rvfs_sb_set_stacking_flags(self.as_raw()) };
        // SAFETY: As above.
        unsafe { (*self.as_raw()).s_magic = magic };
    }

    fn take_upper_traits(&mut self, upper: &SuperBlock<Foreign>) {
        // SAFETY: Valid by the type invariant.
        unsafe { (*self.as_raw()).s_time_gran = upper.time_gran() };
        if upper.is_nosec() {
            // SAFETY: As above.
            unsafe { (*self.as_raw()).s_flags |= bindings::rvfs_const_RVFS_SB_NOSEC as c_ulong };
        }
    }
}
