// SPDX-License-Identifier: GPL-2.0

//! POSIX access control lists. They are not kept here, but asked for below each time.

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
    bindings,
    prelude::*, //
};
use stacking::prelude::*;
use vfs::{
    dentry::{
        Dentry,
        LockedDentry, //
    },
    iattr::Iattr,
    inode::{
        Inode,
        RcuInode, //
    },
    mount::Idmap,
    posix_acl::{
        AclKind,
        PosixAcl,
        RcuAcl, //
    },
};

/// `->get_inode_acl`: for a check of permissions.
pub(crate) fn get_for_check(inode: &Inode<PassFs>, kind: AclKind) -> Result<Option<PosixAcl>> {
    let below = inode_path(inode)?;
    if !below.dentry.inode().is_some_and(Inode::has_posix_acl) {
        return Ok(None);
    }
    inode
        .sb()
        .data()
        .as_mounter(|m| below.get_inode_acl(m, kind))
}

/// `->get_inode_acl` in RCU walk: the list that the inode below has cached.
pub(crate) fn get_for_check_rcu(inode: RcuInode<'_, PassFs>, kind: AclKind) -> Result<RcuAcl<'_>> {
    let below = inode.real().ok_or(ECHILD)?;
    if !below.has_posix_acl() {
        return Ok(RcuAcl::none());
    }
    if inode.super_data().mount().is_idmapped() {
        // The ids have to be mapped, in a copy of the list.
        return Err(ECHILD);
    }
    Ok(below.cached_acl(kind))
}

/// `->get_acl`: for the caller to read.
pub(crate) fn get(dentry: &Dentry<PassFs>, kind: AclKind) -> Result<Option<PosixAcl>> {
    let below = path(dentry)?;
    if !below.dentry.inode().is_some_and(Inode::has_posix_acl) {
        return Ok(None);
    }
    dentry
        .sb()
        .data()
        .as_mounter(|m| below.get_acl(m, kind))
        .map(Some)
}

/// `->set_acl`
pub(crate) fn set(
    idmap: Idmap<'_>,
    dentry: &LockedDentry<'_, PassFs>,
    acl: Option<&PosixAcl>,
    kind: AclKind,
) -> Result {
    let inode = dentry.inode();
    let below = real(inode)?;
    let below_inode = below.inode().ok_or(EIO)?;
    if !below_inode.has_posix_acl() || !below_inode.can_set_acl() {
        return Err(EOPNOTSUPP);
    }
    if kind == AclKind::Default && !inode.is_dir() {
        return if acl.is_some() { Err(EACCES) } else { Ok(()) };
    }
    if !inode.owner_or_capable(idmap) {
        return Err(EPERM);
    }
    // The file system below would leave the bit to the mounter, who may do more than the caller. What
    // the caller may do is asked here: further down the credentials in force are not the caller's.
    let loses_sgid = u32::from(inode.mode()) & bindings::S_ISGID != 0
        && kind == AclKind::Access
        && !inode.in_group_or_capable(idmap);
    let fs = inode.sb().data();
    let write = fs.mount().want_write()?;
    fs.as_mounter(|m| {
        if loses_sgid {
            let lock = below_inode.lock();
            write.notify_change(m, &lock, below, &mut Iattr::kill_sgid())?;
        }
        match acl {
            Some(acl) => write.set_acl(m, below, kind, acl),
            None => write.remove_acl(m, below, kind),
        }
    })?;
    // The list has changed the mode.
    refresh(inode);
    Ok(())
}
