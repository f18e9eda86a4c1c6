// SPDX-License-Identifier: GPL-2.0

//! Copying extended attributes, and with them access control lists and file capabilities.

use crate::{
    object::reason,
    upper::Upper, //
};
use kernel::{
    prelude::*,
    str::CStr, //
};
use ondisk::escape;
use stacking::path::LayerPath;
use vfs::{
    dentry::Dentry,
    errno::WithReason,
    posix_acl::AclKind,
    Foreign, //
};

/// The namespace whose attributes have to be copied.
const SECURITY_PREFIX: &[u8] = b"security.";

/// The attribute with the capabilities of a file.
pub(crate) const CAPABILITY: &CStr = c"security.capability";

/// Copies the attributes of `from` to `to`, apart from our own. The inode of `to` is not locked.
pub(crate) fn copy_xattrs(upper: &Upper<'_>, from: LayerPath<'_>, to: &Dentry<Foreign>) -> Result {
    if !from.dentry.lists_xattrs() || !to.lists_xattrs() {
        return Ok(());
    }
    let list = match list(upper, from) {
        Err(err) if err == EOPNOTSUPP => return Ok(()),
        list => list?,
    };
    let mut value = KVVec::new();
    for name in list.split_inclusive(|&byte| byte == 0) {
        // A file system whose list does not end with a NUL is broken.
        let name = CStr::from_bytes_with_nul(name).map_err(|_| reason::XATTR_LIST)?;
        let private = escape::is_private(upper.ofs.config.namespace(), name.to_bytes());
        if private || !from.may_copy_up_xattr(upper.m, name)? {
            continue;
        }
        match AclKind::from_xattr_name(name) {
            Some(kind) => copy_acl(upper, from, to, kind)?,
            None => copy_xattr(upper, from, to, name, &mut value)?,
        }
    }
    Ok(())
}

/// Takes the attributes away that `to` has, apart from our own and those of security modules. Its inode is not locked.
pub(crate) fn remove_xattrs(upper: &Upper<'_>, to: &Dentry<Foreign>) -> Result {
    if !to.lists_xattrs() {
        return Ok(());
    }
    let list = match list(upper, upper.path(to)?) {
        Err(err) if err == EOPNOTSUPP => return Ok(()),
        list => list?,
    };
    for name in list.split_inclusive(|&byte| byte == 0) {
        let name = CStr::from_bytes_with_nul(name).map_err(|_| reason::XATTR_LIST)?;
        let bytes = name.to_bytes();
        let private = escape::is_private(upper.ofs.config.namespace(), bytes);
        if private || bytes.starts_with(SECURITY_PREFIX) {
            continue;
        }
        let removed = match AclKind::from_xattr_name(name) {
            Some(kind) => upper.write.remove_acl(upper.m, to, kind),
            None => upper.write.removexattr(upper.m, to, name),
        };
        match removed {
            Err(err) if err != ENODATA => return Err(err),
            _ => {}
        }
    }
    Ok(())
}

/// How often the names of attributes are asked for that become more meanwhile.
const MAX_TRIES: usize = 8;

/// The names of the attributes, each with a NUL.
fn list(upper: &Upper<'_>, from: LayerPath<'_>) -> Result<KVVec<u8>> {
    for _ in 0..MAX_TRIES {
        match list_once(upper, from) {
            // There are more than a moment ago, as where a lower overlay copies the file up.
            Err(err) if err == ERANGE => {}
            list => return list,
        }
    }
    Err(ERANGE)
}

fn list_once(upper: &Upper<'_>, from: LayerPath<'_>) -> Result<KVVec<u8>> {
    let mut list = KVVec::new();
    let len = from.listxattr(upper.m, &mut [])?;
    if len > 0 {
        list.resize(len, 0, GFP_KERNEL)?;
        let len = from.listxattr(upper.m, &mut list)?;
        list.truncate(len);
    }
    Ok(list)
}

fn copy_acl(upper: &Upper<'_>, from: LayerPath<'_>, to: &Dentry<Foreign>, kind: AclKind) -> Result {
    match from.get_acl(upper.m, kind) {
        Ok(acl) => upper.write.set_acl(upper.m, to, kind, &acl),
        Err(err) if err == ENODATA || err == EOPNOTSUPP => Ok(()),
        Err(err) => Err(err),
    }
}

fn copy_xattr(
    upper: &Upper<'_>,
    from: LayerPath<'_>,
    to: &Dentry<Foreign>,
    name: &CStr,
    value: &mut KVVec<u8>,
) -> Result {
    let len = match from.getxattr_growing(upper.m, name, value) {
        Err(err) if name == CAPABILITY && is_no_capability(err) => return Ok(()),
        len => len?,
    };
    let value = value.get(..len).unwrap_or_default();
    match upper.write.setxattr(upper.m, to, name, value) {
        // The upper layer does not know the namespace.
        Err(err) if err == EOPNOTSUPP && !is_vital(name) => Ok(()),
        result => result,
    }
}

/// Whether an attribute has to be copied.
fn is_vital(name: &CStr) -> bool {
    name.to_bytes().starts_with(SECURITY_PREFIX)
}

/// Whether the error says that a file has no capabilities: anybody can store an empty attribute,
/// which gives none and cannot be read.
pub(crate) fn is_no_capability(err: Error) -> bool {
    err == ENODATA || err == EOPNOTSUPP || err.is(EINVAL)
}
