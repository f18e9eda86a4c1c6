// SPDX-License-Identifier: GPL-2.0

//! Our own extended attributes on the upper layer: writing them.

use crate::{
    object::{
        entry::{
            DentryExt,
            DentryFlag,
            Flag, //
        },
        log,
        reason,
        super_data::Super, //
    },
    observe::{
        stats::Counter,
        trace, //
    },
    upper::Upper,
    Rovl, //
};
use core::sync::atomic::Ordering;
use kernel::prelude::*;
use ondisk::{
    marker::Opaque,
    xattr::Name, //
};
use stacking::{
    cred::AsMounter,
    mount::WriteGuard,
    prelude::*, //
};
use vfs::{
    dentry::Dentry,
    inode::Inode,
    Foreign, //
};

/// What became of an attribute that was to be set.
#[derive(Clone, Copy, PartialEq, Eq)]
#[must_use]
pub(crate) enum Stored {
    /// It is set.
    Yes,
    /// The upper layer cannot store our attributes. What that means depends on the attribute.
    Unsupported,
}

impl Super {
    /// Sets one of our attributes on an object of the upper layer, whose inode is not locked.
    pub(crate) fn set_xattr(
        &self,
        m: &AsMounter,
        guard: &WriteGuard<'_>,
        upper: &Dentry<Foreign>,
        name: Name,
        value: &[u8],
    ) -> Result<Stored> {
        if self.no_xattr() {
            return Ok(Stored::Unsupported);
        }
        match guard.setxattr(m, upper, self.xattr_name(name), value) {
            Ok(()) => Ok(Stored::Yes),
            Err(err) if err == EOPNOTSUPP => {
                log::warn_dentry(c"cannot set overlay xattr on upper", upper, err);
                // ORDERING: See `no_xattr`.
                self.no_xattr.store(true, Ordering::Relaxed);
                Ok(Stored::Unsupported)
            }
            Err(err) => Err(err),
        }
    }

    /// Removes one of our attributes from an object of the upper layer, whose inode is not locked.
    pub(crate) fn remove_xattr(
        &self,
        m: &AsMounter,
        guard: &WriteGuard<'_>,
        upper: &Dentry<Foreign>,
        name: Name,
    ) -> Result {
        guard.removexattr(m, upper, self.xattr_name(name))
    }

    /// Marks the upper directory of `dir` as one that may contain entries with an origin below, so
    /// that reading it looks for the inode numbers to show.
    pub(crate) fn set_impure(
        &self,
        m: &AsMounter,
        guard: &WriteGuard<'_>,
        dir: &Inode<Rovl>,
    ) -> Result {
        if dir.data().test(Flag::Impure) {
            return Ok(());
        }
        let upper = dir.upper().ok_or(reason::NOT_IN_UPPER)?;
        match self.set_xattr(m, guard, upper, Name::Impure, ondisk::marker::IMPURE)? {
            // Where there are no attributes there is no origin either.
            Stored::Yes | Stored::Unsupported => dir.data().set(Flag::Impure),
        }
        Ok(())
    }
}

impl Upper<'_> {
    /// Sets one of our attributes.
    pub(crate) fn set_xattr(&self, dentry: &Dentry<Foreign>, name: Name, value: &[u8]) -> Result {
        self.write
            .setxattr(self.m, dentry, self.ofs.xattr_name(name), value)
    }

    /// Removes one of our attributes. `ENODATA` where there is none.
    pub(crate) fn remove_xattr(&self, dentry: &Dentry<Foreign>, name: Name) -> Result {
        self.ofs.remove_xattr(self.m, self.write, dentry, name)
    }

    /// Sets one of our attributes, or returns `unsupported` where the upper layer has none.
    pub(crate) fn set_xattr_or(
        &self,
        dentry: &Dentry<Foreign>,
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
        dir: &Dentry<Foreign>,
        unsupported: Error,
    ) -> Result {
        self.set_xattr_or(dir, Name::Opaque, Opaque::YES, Err(unsupported))?;
        dentry.mark(DentryFlag::Opaque);
        self.ofs.stats.count(Counter::Opaques);
        trace::opaque(dentry);
        Ok(())
    }
}
