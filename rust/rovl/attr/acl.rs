// SPDX-License-Identifier: GPL-2.0

//! POSIX access control lists: those of the layer that shows the object.

use crate::{
    object::{
        current,
        entry::{
            DentryExt,
            InodeExt, //
        },
        reason, //
    },
    observe::trace::Why,
    upper::copy_up::copy_up,
    Rovl, //
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

/// `->get_inode_acl`
pub(crate) fn get_inode_acl(inode: &Inode<Rovl>, kind: AclKind) -> Result<Option<PosixAcl>> {
    let path = inode.real().top()?;
    if !path.dentry.inode().is_some_and(Inode::has_posix_acl) {
        return Ok(None);
    }
    inode.ofs().as_mounter(|m| path.get_inode_acl(m, kind))
}

/// `->get_inode_acl` in RCU walk
#[inline]
pub(crate) fn get_inode_acl_rcu(inode: RcuInode<'_, Rovl>, kind: AclKind) -> Result<RcuAcl<'_>> {
    let real = inode.real().ok_or(ECHILD)?;
    if !real.has_posix_acl() {
        return Ok(RcuAcl::none());
    }
    let mount = inode.super_data().mounts.get(real.layer()).ok_or(ECHILD)?;
    if mount.is_idmapped() {
        // The ids have to be mapped, in a copy of the list.
        return Err(ECHILD);
    }
    Ok(real.cached_acl(kind))
}

/// `->get_acl`
pub(crate) fn get_acl(dentry: &Dentry<Rovl>, kind: AclKind) -> Result<Option<PosixAcl>> {
    let inode = dentry.positive()?;
    if inode.is_dir() {
        current::refresh_inode(inode)?;
    }
    let path = inode.real().top()?;
    if !path.dentry.inode().is_some_and(Inode::has_posix_acl) {
        return Ok(None);
    }
    inode.ofs().as_mounter(|m| path.get_acl(m, kind)).map(Some)
}

/// `->set_acl`
pub(crate) fn set_acl(
    idmap: Idmap<'_>,
    dentry: &LockedDentry<'_, Rovl>,
    acl: Option<&PosixAcl>,
    kind: AclKind,
) -> Result {
    let inode = dentry.inode();
    let upper_has_acl = inode
        .ofs()
        .work()?
        .dir
        .dentry()
        .inode()
        .is_some_and(Inode::has_posix_acl);
    if !upper_has_acl || !inode.real().top_inode()?.can_set_acl() {
        return Err(EOPNOTSUPP);
    }
    if kind == AclKind::Default && !inode.is_dir() {
        return if acl.is_some() { Err(EACCES) } else { Ok(()) };
    }
    if !inode.owner_or_capable(idmap) {
        return Err(reason::NOT_OWNER_OF_ACL);
    }
    let _layers = inode.ofs().start_changing();
    // The upper layer would leave the bit to the mounter, who may do more than the caller.
    if u32::from(inode.mode()) & bindings::S_ISGID != 0
        && kind == AclKind::Access
        && !inode.in_group_or_capable(idmap)
    {
        clear_sgid(dentry, inode)?;
    }
    change(dentry, inode, acl, kind)
}

/// Takes the bit `S_ISGID` from the mode.
fn clear_sgid(dentry: &Dentry<Rovl>, inode: &Inode<Rovl>) -> Result {
    copy_up(dentry, Why::Acl)?;
    let ofs = inode.ofs();
    let upper = inode.upper().ok_or(reason::NOT_IN_UPPER)?;
    ofs.change_upper(|layer| layer.set_attr(upper, &mut Iattr::kill_sgid()))?;
    inode.copy_attr_from_real();
    Ok(())
}

/// Sets or removes a list of the upper layer, after copy up if need be.
fn change(
    dentry: &Dentry<Rovl>,
    inode: &Inode<Rovl>,
    acl: Option<&PosixAcl>,
    kind: AclKind,
) -> Result {
    let ofs = inode.ofs();
    if inode.upper().is_none() {
        if acl.is_none() {
            // What is not there is not worth a copy up.
            let lower = inode.real().lower_path().ok_or(reason::NO_LAYERS)?;
            ofs.as_mounter(|m| lower.get_acl(m, kind))?;
        }
        copy_up(dentry, Why::Acl)?;
    }
    let upper = inode.upper().ok_or(reason::NOT_IN_UPPER)?;
    let result = ofs.change_upper(|layer| layer.change_acl(upper, kind, acl));
    // The change may have changed the mode, and has changed times.
    inode.copy_attr_from_real();
    result
}
