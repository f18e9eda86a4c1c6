// SPDX-License-Identifier: GPL-2.0

//! Reading directories.

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
