// SPDX-License-Identifier: GPL-2.0

//! passfs: shows a directory of another file system, and passes every operation on to it.
//!
//! It adds nothing and forbids nothing. It is the text to read, and to start from, for whoever
//! writes a file system that stacks on another one with the `vfs` crate. Read it in this order:
//!
//! 1. here: what the file system is made of, as types;
//! 2. `mount`: options, the super block, credentials;
//! 3. `inode`: how objects below get inodes, and which operations those have;
//! 4. `dir`: names: lookup, making, removing, renaming;
//! 5. `attr`: permissions and attributes of all kinds;
//! 6. `file`: data; `readdir`: entries.
//!
//! Documentation/passfs.rst tells what a user sees, Documentation/vfs.rst the rules.

#![forbid(unsafe_code)]

mod acl;
mod attr;
mod dir;
mod file;
mod inode;
mod mount;
mod operations;
mod readdir;
mod xattr;

use kernel::{
    prelude::*,
    str::CStr, //
};
use stacking::{
    layers::OneLayer,
    mount::PrivateMount, //
};
use vfs::{
    registration::Registration,
    FileSystem, //
};

/// The file system. It has no values: it says in `Inode<PassFs>` and `Dentry<PassFs>` whose they
/// are, so that nobody can take them for those below, which are `Inode<Foreign>` and `Dentry<Foreign>`.
pub(crate) enum PassFs {}

impl FileSystem for PassFs {
    const NAME: &'static CStr = c"passfs";
    const INODE_CACHE: &'static CStr = c"passfs_inode";
    /// What a mount knows.
    type Super = mount::Super;
    /// What an inode knows, beside the object below: nothing.
    type Inode = ();
    /// Each inode stands for one object below.
    type Layers = OneLayer;

    /// What keeps the objects below, which are all on one file system.
    fn mounts(data: &mount::Super) -> &PrivateMount {
        data.mount()
    }

    fn init_inode() -> impl PinInit<(), Error> {
        Ok(())
    }
}

module! {
    type: PassFsModule,
    name: "passfs",
    authors: ["The rovl authors"],
    description: "Sample file system that passes everything on to a directory",
    license: "GPL",
    alias: ["fs-passfs"],
}

/// The module: the file system is registered as long as it is loaded.
#[pin_data]
struct PassFsModule {
    #[pin]
    registration: Registration<PassFs>,
}

impl kernel::InPlaceModule for PassFsModule {
    fn init(_module: &'static ThisModule) -> impl PinInit<Self, Error> {
        try_pin_init!(Self {
            registration <- Registration::new::<mount::MountOps>(),
        })
    }
}
