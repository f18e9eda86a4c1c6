// SPDX-License-Identifier: GPL-2.0

//! The lower object that an upper one was copied from.

use crate::{
    super_data::Super,
    Rovl, //
};
use kernel::{
    prelude::*,
    sync::aref::ARef, //
};
use vfs::{
    cred::AsMounter,
    dentry::Dentry,
    inode::Inode,
    path::LayerPath,
    Layer, //
};

/// Finds the lower object that `upper`, which is not a directory, was copied from, and its layer.
pub(crate) fn find(
    _m: &AsMounter,
    _ofs: &Super,
    _upper: LayerPath<'_>,
) -> Result<Option<(ARef<Dentry<Layer>>, usize)>> {
    Ok(None)
}

/// Stores the origin of a merged directory that has none, because it was made offline.
pub(crate) fn fix(
    _m: &AsMounter,
    _ofs: &Super,
    _dir: &Inode<Rovl>,
    _lower: &Dentry<Layer>,
    _upper: &Dentry<Layer>,
) -> Result {
    Ok(())
}
