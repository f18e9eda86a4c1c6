// SPDX-License-Identifier: GPL-2.0

//! rovl: an overlay file system.
//!
//! It stacks one writable directory (upper) on any number of read-only ones (lower), and shows them
//! as one tree. The mount options and the format on disk are those of fs/overlayfs.
//!
//! As `rovl.ko` it registers the type `rovl`; built as the drop-in `overlay.ko`, `overlay`.

#![forbid(unsafe_code)]

mod attr;
mod export;
mod file;
mod identity;
mod listing;
mod live;
mod mount;
mod namei;
mod object;
mod observe;
mod query;
mod readdir;
mod sync;
mod upper;

use crate::{
    mount::options::parse::MountOps,
    object::{
        entry::OvlInode,
        super_data::Super, //
    },
    observe::trace, //
};
use kernel::{
    prelude::*,
    str::CStr, //
};
use stacking::{
    mount::LayerMounts,
    stack::LayerStack, //
};
use vfs::{
    fs_context::Level,
    registration::Registration,
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
    // The drop-in's messages are those of fs/overlayfs, where that has them: programs look for them.
    #[cfg(rovl_dropin)]
    const LOG_PREFIX: &'static CStr = c"overlayfs";
    const MOUNTS_LOG_TO_KERNEL: bool = cfg!(rovl_dropin);
    const REPORTS: bool = true;
    type Super = Super;
    type Inode = OvlInode;
    type Layers = LayerStack;

    #[cfg(rovl_dropin)]
    fn is_mount_log_quiet() -> bool {
        object::module_parameters::quiet_mount_log()
    }

    fn mount_told(message: &[u8], level: Level) {
        match level {
            Level::Error => trace::mount_refused(message),
            Level::Warning | Level::Note => trace::mount_downgraded(message),
        }
    }

    fn mounts(data: &Self::Super) -> &LayerMounts {
        &data.mounts
    }

    fn init_inode() -> impl PinInit<Self::Inode, Error> {
        OvlInode::init()
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
            registration <- Registration::new::<MountOps>(),
        })
    }
}
