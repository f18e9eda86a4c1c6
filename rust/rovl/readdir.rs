// SPDX-License-Identifier: GPL-2.0

//! Reading directories.

mod names;

pub(crate) use names::{
    d_type_supported,
    names,
    Names, //
};

use kernel::prelude::*;

/// Where an inode keeps the merged entries of a directory.
#[pin_data]
pub(crate) struct CacheSlot {}

impl CacheSlot {
    /// Nothing cached.
    pub(crate) fn init() -> impl PinInit<Self, Error> {
        try_pin_init!(Self {})
    }
}
