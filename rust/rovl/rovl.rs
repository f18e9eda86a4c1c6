// SPDX-License-Identifier: GPL-2.0

//! rovl: an overlay file system.
//!
//! It stacks one writable directory (upper) on any number of read-only ones (lower), and shows them
//! as one tree. The mount options and the format on disk are those of fs/overlayfs.
//!
//! As `rovl.ko` it registers the type `rovl`; built as the drop-in `overlay.ko`, `overlay`.

#![forbid(unsafe_code)]

mod acl;
mod cleanup;
mod copy_up;
mod create;
mod dentry_ops;
mod entry;
mod export;
mod fault;
mod file;
mod fileattr;
mod getattr;
mod handle;
mod index;
mod ino_space;
mod inode;
mod layer_xattr;
mod link;
mod lookup;
mod lower_data;
mod mount;
mod options;
mod origin;
mod permission;
mod readdir;
mod remove;
mod rename;
mod setattr;
mod super_data;
mod super_ops;
mod tmpfile;
mod upper;
mod uuid;
mod verity;
mod whiteout;
mod workdir;
mod xattr;

use kernel::{
    prelude::*,
    str::CStr, //
};
use vfs::{
    registration::Registration,
    stack::LayerStack,
    FileSystem, //
};

/// The file system.
pub(crate) enum Rovl {}

impl FileSystem for Rovl {
    #[cfg(not(rovl_dropin))]
    const NAME: &'static CStr = c"rovl";
    #[cfg(rovl_dropin)]
    const NAME: &'static CStr = c"overlay";
    #[cfg(not(rovl_dropin))]
    const INODE_CACHE: &'static CStr = c"rovl_inode";
    #[cfg(rovl_dropin)]
    const INODE_CACHE: &'static CStr = c"ovl_inode";
    type Super = super_data::Super;
    type Inode = entry::OvlInode;
    type Layers = LayerStack;

    fn init_inode() -> impl PinInit<Self::Inode, Error> {
        entry::OvlInode::init()
    }
}

#[cfg(not(rovl_dropin))]
module! {
    type: RovlModule,
    name: "rovl",
    authors: ["The rovl authors"],
    description: "Overlay filesystem",
    license: "GPL",
}

#[cfg(rovl_dropin)]
module! {
    type: RovlModule,
    name: "overlay",
    authors: ["The rovl authors"],
    description: "Overlay filesystem",
    license: "GPL",
}

/// The module: the file system is registered as long as it is loaded.
#[pin_data]
struct RovlModule {
    #[pin]
    registration: Registration<Rovl>,
}

impl kernel::InPlaceModule for RovlModule {
    fn init(_module: &'static ThisModule) -> impl PinInit<Self, Error> {
        try_pin_init!(Self {
            registration <- Registration::new::<options::MountOps>(),
        })
    }
}
