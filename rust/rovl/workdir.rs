// SPDX-License-Identifier: GPL-2.0

//! The work directory.

use crate::{
    options::{
        Config,
        NamedPath, //
    },
    super_data::Work,
};
use kernel::prelude::*;
use vfs::{
    cred::AsMounter,
    fs_context::FsContext,
    mount::Mount,
    super_block::FileHandles, //
};

/// A work directory, with what is known of the upper file system from making it.
pub(crate) struct Made {
    pub(crate) work: Work,
    /// The upper layer cannot store our extended attributes.
    pub(crate) no_xattr: bool,
    /// How the upper file system makes file handles.
    pub(crate) handles: FileHandles,
}

/// Makes `work` in the directory `base`. Returns `None` where the mount has to be read-only.
pub(crate) fn make(
    _fc: &FsContext,
    _config: &mut Config,
    _m: &AsMounter,
    _upper: &Mount,
    _base: &NamedPath,
) -> Result<Option<Made>> {
    Ok(None)
}
