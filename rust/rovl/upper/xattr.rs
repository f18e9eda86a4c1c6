// SPDX-License-Identifier: GPL-2.0

//! Our own extended attributes on the upper layer: writing them.

use super::Upper;
use crate::{
    entry::{
        DentryExt,
        DentryFlag, //
    },
    layer_xattr::Stored,
    Rovl, //
};
use kernel::prelude::*;
use ondisk::{
    marker::Opaque,
    xattr::Name, //
};
use vfs::{
    dentry::Dentry,
    Layer, //
};

impl Upper<'_> {
    /// Sets one of our attributes.
    pub(crate) fn set_xattr(&self, dentry: &Dentry<Layer>, name: Name, value: &[u8]) -> Result {
        self.write
            .setxattr(self.m, dentry, self.ofs.xattr_name(name), value)
    }

    /// Removes one of our attributes. `ENODATA` where there is none.
    pub(crate) fn remove_xattr(&self, dentry: &Dentry<Layer>, name: Name) -> Result {
        self.ofs.remove_xattr(self.m, self.write, dentry, name)
    }

    /// Sets one of our attributes, or returns `unsupported` where the upper layer has none.
    pub(crate) fn set_xattr_or(
        &self,
        dentry: &Dentry<Layer>,
        name: Name,
        value: &[u8],
        unsupported: Result,
    ) -> Result {
        match self
            .ofs
            .set_xattr(self.m, self.write, dentry, name, value)?
        {
            Stored::Yes => Ok(()),
            Stored::Unsupported => unsupported,
        }
    }

    /// Marks a directory of the overlay as one that may contain entries with an origin.
    pub(crate) fn set_impure(&self, dir: &Dentry<Rovl>) -> Result {
        self.ofs.set_impure(self.m, self.write, dir.positive()?)
    }

    /// Makes `dir` of the upper layer opaque, which is or will be that of `dentry`.
    ///
    /// Returns `unsupported` where the upper layer has no attributes.
    pub(crate) fn set_opaque(
        &self,
        dentry: &Dentry<Rovl>,
        dir: &Dentry<Layer>,
        unsupported: Error,
    ) -> Result {
        self.set_xattr_or(dir, Name::Opaque, Opaque::YES, Err(unsupported))?;
        dentry.mark(DentryFlag::Opaque);
        Ok(())
    }
}
