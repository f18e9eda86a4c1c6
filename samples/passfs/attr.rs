// SPDX-License-Identifier: GPL-2.0

//! Permissions and attributes, and the operations of what is not a directory.

use crate::{
    inode::{
        inode_path,
        path,
        positive,
        real,
        refresh,
        COPIED_FLAGS, //
    },
    PassFs, //
};
use kernel::prelude::*;
use stacking::prelude::*;
use vfs::{
    dentry::{
        self,
        Dentry,
        LockedDentry,
        RealKind, //
    },
    fileattr::FileKattr,
    iattr::Setattr,
    inode::{
        Inode,
        RcuInode, //
    },
    mount::Idmap,
    path::PathRef,
    stat::{
        Kstat,
        StatRequest, //
    },
    Foreign, //
};

/// `->permission`: what the caller may do is decided on our inode, which has the owner, the mode and
/// the access control lists of the one below. That the mounter may do it, too, is asked below.
pub(crate) fn permission(inode: &Inode<PassFs>, idmap: Idmap<'_>, mask: i32) -> Result {
    inode.generic_permission(idmap, mask)?;
    let below = inode_path(inode)?;
    inode.sb().data().as_mounter(|m| below.permission(m, mask))
}

/// `->permission` in RCU walk: nothing may be referenced, and nothing may block. What cannot be done
/// so ends with `ECHILD`, and the VFS asks again with references.
pub(crate) fn permission_rcu(inode: RcuInode<'_, PassFs>, idmap: Idmap<'_>, mask: i32) -> Result {
    let below = inode.real().ok_or(ECHILD)?;
    inode.generic_permission(idmap, mask)?;
    let fs = inode.super_data();
    fs.as_mounter(|m| below.permission(m, fs.mount(), mask))
}

/// `->getattr`
pub(crate) fn getattr(
    idmap: Idmap<'_>,
    path: PathRef<'_, PassFs>,
    stat: &mut Kstat,
    request: StatRequest,
) -> Result {
    let inode = positive(path.dentry())?;
    let below = inode_path(inode)?;
    let fs = inode.sb().data();
    fs.as_mounter(|m| stat.fill_from_layer(m, below, request))?;
    // Inode numbers are those below, which are of one file system. So one device number will do.
    stat.set_dev(inode.sb().dev());
    stat.map_owner(inode, idmap);
    Ok(())
}

/// `->setattr`: the caller's right to do it is checked on our inode, and it is done by the mounter.
pub(crate) fn setattr(
    idmap: Idmap<'_>,
    dentry: &LockedDentry<'_, PassFs>,
    mut change: Setattr<'_>,
) -> Result {
    change.prepare(idmap, dentry)?;
    let inode = dentry.inode();
    let attr = change.for_layer(idmap, inode);
    let below = real(inode)?;
    let below_inode = below.inode().ok_or(EIO)?;
    let fs = inode.sb().data();
    // What is executed is not truncated.
    let _writable = if attr.sets_size() {
        Some(below_inode.get_write_access()?)
    } else {
        None
    };
    let write = fs.mount().want_write()?;
    fs.as_mounter(|m| {
        let lock = below_inode.lock();
        write.notify_change(m, &lock, below, attr)
    })?;
    refresh(inode);
    Ok(())
}

/// `->update_time` for the access time. Whether it changes is for the mount and the file system
/// below to say.
pub(crate) fn update_atime(inode: &Inode<PassFs>, nowait: bool) -> Result {
    if nowait {
        return Err(EAGAIN);
    }
    let below = inode_path(inode)?;
    below.touch_atime();
    if let Some(below) = below.dentry.inode() {
        inode.copy_atime(below);
    }
    Ok(())
}

/// `->fileattr_get`
pub(crate) fn fileattr_get(dentry: &Dentry<PassFs>, attrs: &mut FileKattr) -> Result {
    let below = path(dentry)?;
    dentry
        .sb()
        .data()
        .as_mounter(|m| below.get_fileattr(m, attrs))
}

/// `->fileattr_set`
pub(crate) fn fileattr_set(dentry: &LockedDentry<'_, PassFs>, attrs: &mut FileKattr) -> Result {
    let inode = dentry.inode();
    let below = real(inode)?;
    let fs = inode.sb().data();
    let write = fs.mount().want_write()?;
    fs.as_mounter(|m| write.set_fileattr(m, below, attrs))?;
    // The VFS refuses to change what is immutable when our inode says so.
    let flags = below.inode().map_or(0, Inode::flags);
    inode.set_flags(flags, COPIED_FLAGS);
    refresh(inode);
    Ok(())
}

/// Operations of dentries. With them come those that ask the file system below whether its names are
/// still right, as network file systems do.
pub(crate) struct DentryOps;

#[vtable]
impl dentry::Operations for DentryOps {
    type FileSystem = PassFs;

    fn d_real(dentry: &Dentry<PassFs>, _kind: RealKind) -> Option<&Dentry<Foreign>> {
        dentry.inode().filter(|inode| inode.is_reg())?.real()
    }
}
