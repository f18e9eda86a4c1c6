// SPDX-License-Identifier: GPL-2.0

//! The operations of each type of inode; what they do is in the file named after the operation.

use crate::Rovl;
use kernel::prelude::*;
use vfs::inode::{
    Operations,
    RawTables, //
};

/// Directories.
struct DirOps;

#[vtable]
impl Operations for DirOps {
    type FileSystem = Rovl;
}

/// Regular files.
struct FileOps;

#[vtable]
impl Operations for FileOps {
    type FileSystem = Rovl;
}

/// Symbolic links.
struct SymlinkOps;

#[vtable]
impl Operations for SymlinkOps {
    type FileSystem = Rovl;
}

/// Devices, fifos and sockets.
struct SpecialOps;

#[vtable]
impl Operations for SpecialOps {
    type FileSystem = Rovl;
}

static DIR: RawTables<Rovl> = RawTables::new::<DirOps>();
static FILE: RawTables<Rovl> = RawTables::new::<FileOps>();
static SYMLINK: RawTables<Rovl> = RawTables::new::<SymlinkOps>();
static SPECIAL: RawTables<Rovl> = RawTables::new::<SpecialOps>();

/// The operations for inodes with the type of `mode`.
pub(crate) fn tables_for(mode: u16) -> &'static RawTables<Rovl> {
    match u32::from(mode) & kernel::bindings::S_IFMT {
        kernel::bindings::S_IFDIR => &DIR,
        kernel::bindings::S_IFREG => &FILE,
        kernel::bindings::S_IFLNK => &SYMLINK,
        _ => &SPECIAL,
    }
}
