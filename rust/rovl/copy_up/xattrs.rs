// SPDX-License-Identifier: GPL-2.0

//! Copying extended attributes, and with them access control lists and file capabilities.

use super::CopyUp;
use crate::upper::Upper;
use kernel::{
    prelude::*,
    str::CStr, //
};
use ondisk::escape;
use vfs::{
    dentry::Dentry,
    posix_acl::AclKind,
    Layer, //
};

/// The namespace whose attributes have to be copied.
const SECURITY_PREFIX: &[u8] = b"security.";

/// The attribute with the capabilities of a file.
const CAPABILITY: &CStr = c"security.capability";

impl CopyUp<'_> {
    /// Copies the attributes to `temp`, apart from our own.
    pub(super) fn copy_xattrs(&self, upper: &Upper<'_>, temp: &Dentry<Layer>) -> Result {
        if !self.lower.dentry.lists_xattrs() || !temp.lists_xattrs() {
            return Ok(());
        }
        let list = match self.xattr_list() {
            Err(err) if err == EOPNOTSUPP => return Ok(()),
            list => list?,
        };
        let mut value = KVVec::new();
        for name in list.split_inclusive(|&byte| byte == 0) {
            // A file system whose list does not end with a NUL is broken.
            let name = CStr::from_bytes_with_nul(name).map_err(|_| EIO)?;
            let private = escape::is_private(self.ofs.config.namespace(), name.to_bytes());
            if private || !self.lower.may_copy_up_xattr(self.m, name)? {
                continue;
            }
            match AclKind::from_xattr_name(name) {
                Some(kind) => self.copy_acl(upper, temp, kind)?,
                None => self.copy_xattr(upper, temp, name, &mut value)?,
            }
        }
        Ok(())
    }

    /// The names of the attributes, each with a NUL.
    fn xattr_list(&self) -> Result<KVVec<u8>> {
        let mut list = KVVec::new();
        let len = self.lower.listxattr(self.m, &mut [])?;
        if len > 0 {
            list.resize(len, 0, GFP_KERNEL)?;
            let len = self.lower.listxattr(self.m, &mut list)?;
            list.truncate(len);
        }
        Ok(list)
    }

    fn copy_acl(&self, upper: &Upper<'_>, temp: &Dentry<Layer>, kind: AclKind) -> Result {
        match self.lower.get_acl(self.m, kind) {
            Ok(acl) => upper.write.set_acl(self.m, temp, kind, &acl),
            Err(err) if err == ENODATA || err == EOPNOTSUPP => Ok(()),
            Err(err) => Err(err),
        }
    }

    fn copy_xattr(
        &self,
        upper: &Upper<'_>,
        temp: &Dentry<Layer>,
        name: &CStr,
        value: &mut KVVec<u8>,
    ) -> Result {
        let len = match self.lower.getxattr_growing(self.m, name, value) {
            Err(err) if name == CAPABILITY && is_no_capability(err) => return Ok(()),
            len => len?,
        };
        let value = value.get(..len).unwrap_or_default();
        match upper.write.setxattr(self.m, temp, name, value) {
            // The upper layer does not know the namespace.
            Err(err) if err == EOPNOTSUPP && !is_vital(name) => Ok(()),
            result => result,
        }
    }
}

/// Whether an attribute has to be copied.
fn is_vital(name: &CStr) -> bool {
    name.to_bytes().starts_with(SECURITY_PREFIX)
}

/// Whether the error says that a file has no capabilities: anybody can store an empty attribute,
/// which gives none and cannot be read.
fn is_no_capability(err: Error) -> bool {
    err == ENODATA || err == EOPNOTSUPP || err == EINVAL
}
