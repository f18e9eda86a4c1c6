// SPDX-License-Identifier: GPL-2.0

//! Our own extended attributes on layers: reading them.

use crate::super_data::Super;
use kernel::prelude::*;
use ondisk::{
    marker::Opaque,
    xattr::Name, //
};
use vfs::{
    cred::AsMounter,
    path::LayerPath, //
};

impl Super {
    /// The full name of one of our attributes, with or without `userxattr`.
    pub(crate) fn xattr_name(&self, name: Name) -> &'static CStr {
        name.full(self.config.namespace())
    }

    /// Reads one of our attributes into `value` and returns its length.
    pub(crate) fn get_xattr(
        &self,
        m: &AsMounter,
        path: LayerPath<'_>,
        name: Name,
        value: &mut [u8],
    ) -> Result<usize> {
        path.getxattr(m, self.xattr_name(name), value)
    }

    /// Whether an object of a layer has one of our attributes, whatever its value.
    pub(crate) fn has_xattr(&self, m: &AsMounter, path: LayerPath<'_>, name: Name) -> bool {
        self.get_xattr(m, path, name, &mut []).is_ok()
    }

    /// What the attribute `opaque` says of a directory of a layer.
    pub(crate) fn opaque(&self, m: &AsMounter, path: LayerPath<'_>) -> Opaque {
        let mut value = [0];
        match self.get_xattr(m, path, Name::Opaque, &mut value) {
            Ok(len) if path.dentry.is_dir() => Opaque::parse(value.get(..len).unwrap_or_default()),
            _ => Opaque::parse(&[]),
        }
    }

    /// Whether a directory of the upper layer is marked as one that may contain copied up entries.
    pub(crate) fn is_impure(&self, m: &AsMounter, path: LayerPath<'_>) -> bool {
        let mut value = [0];
        matches!(
            self.get_xattr(m, path, Name::Impure, &mut value),
            Ok(len) if ondisk::marker::is_impure(value.get(..len).unwrap_or_default())
        )
    }

    /// Whether an object of a layer hides what is below: char 0:0, or an empty file with the
    /// attribute `whiteout`.
    pub(crate) fn is_whiteout(&self, m: &AsMounter, path: LayerPath<'_>) -> bool {
        let Some(inode) = path.dentry.inode() else {
            return false;
        };
        inode.is_whiteout_device()
            || (inode.is_reg() && inode.size() == 0 && self.has_xattr(m, path, Name::Whiteout))
    }
}
