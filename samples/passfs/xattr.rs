// SPDX-License-Identifier: GPL-2.0

//! Extended attributes. All names are passed on; those of access control lists never get here, the
//! VFS has operations of their own for them.

use crate::{
    inode::{
        inode_path,
        path,
        real,
        refresh, //
    },
    PassFs, //
};
use kernel::{
    prelude::*,
    str::CStr, //
};
use stacking::cred;
use vfs::{
    dentry::{
        Dentry,
        LockedDentry, //
    },
    inode::Inode,
    xattr::{
        Change,
        Handler,
        Handlers,
        Name, //
    }, //
};

/// The handlers of a mount: one for all names.
pub(crate) fn handlers() -> Handlers<PassFs> {
    Handlers::one::<All>()
}

struct All;

impl Handler for All {
    type FileSystem = PassFs;

    const PREFIX: &'static CStr = c"";

    fn get(inode: &Inode<PassFs>, name: Name<'_>, value: &mut [u8]) -> Result<usize> {
        let below = inode_path(inode)?;
        inode
            .sb()
            .data()
            .as_mounter(|m| below.getxattr(m, name, value))
    }

    fn set(dentry: &LockedDentry<'_, PassFs>, name: Name<'_>, change: Change<'_>) -> Result {
        let inode = dentry.inode();
        let below = real(inode)?;
        let fs = inode.sb().data();
        let write = fs.mount().want_write()?;
        fs.as_mounter(|m| match change {
            Change::Set { value, flags } => write.setxattr_flags(m, below, name, value, flags),
            Change::Remove => write.removexattr(m, below, name),
        })?;
        // The change has a time.
        refresh(inode);
        Ok(())
    }
}

/// `->listxattr`
///
/// Below, the mounter asks, who may see names that the caller may not.
pub(crate) fn list(dentry: &Dentry<PassFs>, list: &mut [u8]) -> Result<usize> {
    let below = path(dentry)?;
    let len = dentry
        .sb()
        .data()
        .as_mounter(|m| below.listxattr(m, list))?;
    if list.is_empty() || cred::is_admin_noaudit() {
        return Ok(len);
    }
    hide_trusted(list.get_mut(..len).ok_or(ERANGE)?)
}

/// Removes the names in `trusted.` from `list`, in place, and returns the length of the rest.
fn hide_trusted(list: &mut [u8]) -> Result<usize> {
    let (mut from, mut to) = (0, 0);
    while let Some(rest) = list.get(from..).filter(|rest| !rest.is_empty()) {
        let end = rest.iter().position(|&byte| byte == 0).ok_or(EIO)?;
        let next = from.saturating_add(end).saturating_add(1);
        if !rest.starts_with(b"trusted.") {
            list.copy_within(from..next, to);
            to = to.saturating_add(next.saturating_sub(from));
        }
        from = next;
    }
    Ok(to)
}
