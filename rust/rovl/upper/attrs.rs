// SPDX-License-Identifier: GPL-2.0

//! What users change of objects in the upper layer: xattrs, access control lists, file attributes.

use crate::{
    object::super_data::Super,
    upper::Upper, //
};
use kernel::prelude::*;
use vfs::{
    dentry::Dentry,
    fileattr::FileKattr,
    iattr::Iattr,
    posix_acl::{
        AclKind,
        PosixAcl, //
    },
    xattr::{
        Change,
        Name, //
    },
    Foreign, //
};

impl Super {
    /// Runs `f` with what a change of the upper layer needs. May block while the layer is frozen.
    ///
    /// Returns `EROFS` without an upper layer, or if it is read-only.
    pub(crate) fn change_upper<R>(&self, f: impl FnOnce(&Upper<'_>) -> Result<R>) -> Result<R> {
        let write = self.upper_mount()?.want_write()?;
        self.as_mounter(|m| {
            f(&Upper {
                ofs: self,
                m,
                write: &write,
            })
        })
    }
}

impl Upper<'_> {
    /// Changes an attribute of the user's.
    pub(crate) fn change_xattr(
        &self,
        dentry: &Dentry<Foreign>,
        name: Name<'_>,
        change: Change<'_>,
    ) -> Result {
        match change {
            Change::Set { value, flags } => self
                .write
                .setxattr_flags(self.m, dentry, name, value, flags),
            Change::Remove => self.write.removexattr(self.m, dentry, name),
        }
    }

    /// Sets or removes an access control list.
    pub(crate) fn change_acl(
        &self,
        dentry: &Dentry<Foreign>,
        kind: AclKind,
        acl: Option<&PosixAcl>,
    ) -> Result {
        match acl {
            Some(acl) => self.write.set_acl(self.m, dentry, kind, acl),
            None => self.write.remove_acl(self.m, dentry, kind),
        }
    }

    /// Sets file attributes.
    pub(crate) fn set_fileattr(&self, dentry: &Dentry<Foreign>, attrs: &mut FileKattr) -> Result {
        self.write.set_fileattr(self.m, dentry, attrs)
    }

    /// Sets attributes of an inode, which is not locked.
    pub(crate) fn set_attr(&self, dentry: &Dentry<Foreign>, attr: &mut Iattr) -> Result {
        let lock = dentry.inode().ok_or(ENOENT)?.lock();
        self.write.notify_change(self.m, &lock, dentry, attr)
    }
}
