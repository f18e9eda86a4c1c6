// SPDX-License-Identifier: GPL-2.0

//! Whiteouts.

use kernel::{
    prelude::*,
    sync::aref::ARef, //
};
use vfs::{
    dentry::Dentry,
    Layer, //
};

/// The whiteout in the work directory that new ones are hard links of.
pub(crate) struct Shared {
    /// The dentry, once one was made.
    pub(crate) whiteout: Option<ARef<Dentry<Layer>>>,
    /// A hard link failed, so that every whiteout is made anew.
    pub(crate) disabled: bool,
}

impl Shared {
    /// None yet.
    pub(crate) fn new() -> Result<Pin<KBox<kernel::sync::Mutex<Self>>>> {
        KBox::pin_init(
            kernel::new_mutex!(Self {
                whiteout: None,
                disabled: false,
            }),
            GFP_KERNEL,
        )
    }
}
