// SPDX-License-Identifier: GPL-2.0

//! Our own extended attributes on the upper layer: writing them.

use super::Upper;
use crate::entry::{
    DentryExt,
    DentryFlag,
    Flag, //
};
use crate::Rovl;
use core::sync::atomic::Ordering;
use kernel::prelude::*;
use ondisk::{
    marker::{
        Opaque,
        IMPURE, //
    },
    xattr::Name, //
};
use vfs::{
    dentry::Dentry,
    log,
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
        self.write
            .removexattr(self.m, dentry, self.ofs.xattr_name(name))
    }

    /// Sets one of our attributes, or returns `unsupported` where the upper layer has none.
    ///
    /// The first failure is remembered, so that the layer is not asked again.
    pub(crate) fn set_xattr_or(
        &self,
        dentry: &Dentry<Layer>,
        name: Name,
        value: &[u8],
        unsupported: Result,
    ) -> Result {
        if self.ofs.no_xattr() {
            return unsupported;
        }
        match self.set_xattr(dentry, name, value) {
            Err(err) if err == EOPNOTSUPP => {
                log::warn_dentry(c"cannot set our xattrs on upper", dentry, err);
                // ORDERING: A hint; nothing depends on it.
                self.ofs.no_xattr.store(true, Ordering::Relaxed);
                unsupported
            }
            result => result,
        }
    }

    /// Marks a directory of the overlay as one that may contain entries that were copied up.
    ///
    /// Where the upper layer has no attributes, its entries have no origin either.
    pub(crate) fn set_impure(&self, dir: &Dentry<Rovl>) -> Result {
        let data = dir.positive()?.data();
        if data.test(Flag::Impure) {
            return Ok(());
        }
        let upper = dir.upper().ok_or(EIO)?;
        self.set_xattr_or(upper, Name::Impure, IMPURE, Ok(()))?;
        data.set(Flag::Impure);
        Ok(())
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
