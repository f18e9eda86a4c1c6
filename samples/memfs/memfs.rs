// SPDX-License-Identifier: GPL-2.0

//! memfs: directories, regular files and symbolic links in memory.
//!
//! It stacks on nothing: directory entries are dentries, data is in the page cache, and both are
//! nowhere else. It is the text to read for what the `vfs` crate has beside stacking. Read it in this
//! order:
//!
//! 1. here: what the file system is made of, as types;
//! 2. `mount`: options, the super block, and how room is counted;
//! 3. `inode`: how inodes are made, and which operations they have;
//! 4. `dir`: making, removing and renaming entries;
//! 5. `file`: data.
//!
//! Documentation/memfs.rst tells what a user sees, Documentation/vfs.rst the rules.

#![forbid(unsafe_code)]

mod dir;
mod file;
mod inode;
mod mount;
mod size;

use kernel::{
    prelude::*,
    str::CStr, //
};
use vfs::{
    layers::NoLayers,
    registration::Registration,
    FileSystem, //
};

/// The file system. It has no values: it says in `Inode<MemFs>` and `Dentry<MemFs>` whose they are.
pub(crate) enum MemFs {}

impl FileSystem for MemFs {
    const NAME: &'static CStr = c"memfs";
    const INODE_CACHE: &'static CStr = c"memfs_inode";
    /// Whoever may mount it may fill the memory, so it is left to the machine's administrator.
    const USERNS_MOUNT: bool = false;
    /// What a mount knows.
    type Super = mount::Super;
    /// What an inode knows.
    type Inode = inode::MemInode;
    type Layers = NoLayers;

    fn mounts(_data: &mount::Super) -> &() {
        // It stacks on nothing.
        &()
    }

    fn init_inode() -> impl PinInit<inode::MemInode, Error> {
        // Called for each inode that is allocated, before anything is known of it.
        Ok(inode::MemInode::new())
    }
}

module! {
    type: MemFsModule,
    name: "memfs",
    authors: ["The rovl authors"],
    description: "Sample file system in memory",
    license: "GPL",
    alias: ["fs-memfs"],
}

/// The module: the file system is registered as long as it is loaded.
#[pin_data]
struct MemFsModule {
    #[pin]
    registration: Registration<MemFs>,
}

impl kernel::InPlaceModule for MemFsModule {
    fn init(_module: &'static ThisModule) -> impl PinInit<Self, Error> {
        try_pin_init!(Self {
            registration <- Registration::new::<mount::MountOps>(),
        })
    }
}
