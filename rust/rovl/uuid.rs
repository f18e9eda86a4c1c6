// SPDX-License-Identifier: GPL-2.0

//! The identity of an overlay.

use crate::options::Config;
use kernel::prelude::*;
use vfs::{
    cred::AsMounter,
    fs_context::FsContext,
    path::LayerPath, //
};

/// Reads the UUID of the overlay from the upper root, or makes one where the options ask for it.
pub(crate) fn load_or_make(
    _fc: &FsContext,
    _config: &mut Config,
    _m: &AsMounter,
    _upper: LayerPath<'_>,
) -> Result<Option<[u8; 16]>> {
    Ok(None)
}
