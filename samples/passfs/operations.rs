// SPDX-License-Identifier: GPL-2.0

//! The operations of inodes; what they do is in the file that is about it.

use crate::{
    acl,
    attr,
    dir::{
        link,
        lookup,
        make,
        remove,
        rename,
        tmpfile,
        with_type, //
    },
    inode::{
        path,
        real, //
    },
    xattr,
    PassFs, //
};
use kernel::{
    bindings,
    prelude::*,
    str::CStr, //
};
use stacking::prelude::*;
use vfs::{
    dentry::{
        Child,
        Dentry,
        LockedDentry,
        Negative,
        Positive, //
    },
    file::TmpFile,
    fileattr::FileKattr,
    iattr::Setattr,
    inode::{
        DelayedCall,
        Fiemap,
        Inode,
        Link,
        Locked,
        Operations,
        RcuInode, //
    },
    mount::Idmap,
    namei::{
        InLookup,
        RenameFlags,
        Spliced, //
    },
    path::PathRef,
    posix_acl::{
        AclKind,
        PosixAcl,
        RcuAcl, //
    },
    stat::{
        Kstat,
        StatRequest, //
    },
};

/// What [`InodeTables`](vfs::inode::InodeTables) choose from.
pub(crate) struct InodeOps;

#[vtable]
impl Operations for InodeOps {
    type FileSystem = PassFs;

    fn lookup<'a>(
        dir: &Inode<PassFs>,
        dentry: InLookup<'a, PassFs>,
    ) -> Result<Spliced<'a, PassFs>> {
        lookup(dir, dentry)
    }

    fn create(
        idmap: Idmap<'_>,
        dir: &Locked<'_, PassFs>,
        dentry: Negative<'_, PassFs>,
        mode: u16,
    ) -> Result {
        let mode = with_type(mode, bindings::S_IFREG);
        make(idmap, dir, dentry, (mode, 0), |name, mode| {
            name.create(mode)
        })
    }

    fn mkdir(
        idmap: Idmap<'_>,
        dir: &Locked<'_, PassFs>,
        dentry: Negative<'_, PassFs>,
        mode: u16,
    ) -> Result {
        let mode = with_type(mode, bindings::S_IFDIR);
        make(idmap, dir, dentry, (mode, 0), |name, mode| name.mkdir(mode))
    }

    fn mknod(
        idmap: Idmap<'_>,
        dir: &Locked<'_, PassFs>,
        dentry: Negative<'_, PassFs>,
        mode: u16,
        rdev: u32,
    ) -> Result {
        make(idmap, dir, dentry, (mode, rdev), |name, mode| {
            name.mknod(mode, rdev)
        })
    }

    fn symlink(
        idmap: Idmap<'_>,
        dir: &Locked<'_, PassFs>,
        dentry: Negative<'_, PassFs>,
        target: &CStr,
    ) -> Result {
        let mode = with_type(0o777, bindings::S_IFLNK);
        make(idmap, dir, dentry, (mode, 0), |name, _| {
            name.symlink(target)
        })
    }

    fn link(
        old: &LockedDentry<'_, PassFs>,
        dir: &Locked<'_, PassFs>,
        new: Negative<'_, PassFs>,
    ) -> Result {
        link(old, dir, new)
    }

    fn unlink(dir: &Locked<'_, PassFs>, dentry: &Positive<'_, PassFs>) -> Result {
        remove(dir, dentry)
    }

    fn rmdir(dir: &Locked<'_, PassFs>, dentry: &Positive<'_, PassFs>) -> Result {
        remove(dir, dentry)
    }

    fn rename(
        old_dir: &Locked<'_, PassFs>,
        old: Child<'_, PassFs>,
        new_dir: &Locked<'_, PassFs>,
        new: Child<'_, PassFs>,
        replaced: Option<&Locked<'_, PassFs>>,
        flags: RenameFlags,
    ) -> Result {
        rename((old_dir, old), (new_dir, new), replaced, flags)
    }

    fn tmpfile(
        idmap: Idmap<'_>,
        dir: &Inode<PassFs>,
        file: TmpFile<'_, PassFs>,
        mode: u16,
    ) -> Result {
        tmpfile(idmap, dir, file, mode)
    }

    fn fileattr_get(dentry: &Dentry<PassFs>, attrs: &mut FileKattr) -> Result {
        attr::fileattr_get(dentry, attrs)
    }

    fn fileattr_set(
        _idmap: Idmap<'_>,
        dentry: &LockedDentry<'_, PassFs>,
        attrs: &mut FileKattr,
    ) -> Result {
        attr::fileattr_set(dentry, attrs)
    }

    fn fiemap(inode: &Inode<PassFs>, request: Fiemap<'_>, start: u64, len: u64) -> Result {
        let below = real(inode)?.inode().ok_or(EIO)?;
        inode
            .sb()
            .data()
            .as_mounter(|m| below.fiemap(m, request, start, len))
    }

    fn get_link<'a>(dentry: &'a Dentry<PassFs>, done: DelayedCall<'a>) -> Result<Link<'a>> {
        let below = path(dentry)?;
        dentry
            .sb()
            .data()
            .as_mounter(|m| below.dentry.get_link(m, done))
    }

    fn permission(inode: &Inode<PassFs>, idmap: Idmap<'_>, mask: i32) -> Result {
        attr::permission(inode, idmap, mask)
    }

    fn permission_rcu(inode: RcuInode<'_, PassFs>, idmap: Idmap<'_>, mask: i32) -> Result {
        attr::permission_rcu(inode, idmap, mask)
    }

    fn getattr(
        idmap: Idmap<'_>,
        path: PathRef<'_, PassFs>,
        stat: &mut Kstat,
        request: StatRequest,
    ) -> Result {
        attr::getattr(idmap, path, stat, request)
    }

    fn setattr(idmap: Idmap<'_>, dentry: &LockedDentry<'_, PassFs>, change: Setattr<'_>) -> Result {
        attr::setattr(idmap, dentry, change)
    }

    fn update_atime(inode: &Inode<PassFs>, nowait: bool) -> Result {
        attr::update_atime(inode, nowait)
    }

    fn listxattr(dentry: &Dentry<PassFs>, list: &mut [u8]) -> Result<usize> {
        xattr::list(dentry, list)
    }

    fn get_inode_acl(inode: &Inode<PassFs>, kind: AclKind) -> Result<Option<PosixAcl>> {
        acl::get_for_check(inode, kind)
    }

    fn get_inode_acl_rcu<'a>(inode: RcuInode<'a, PassFs>, kind: AclKind) -> Result<RcuAcl<'a>> {
        acl::get_for_check_rcu(inode, kind)
    }

    fn get_acl(dentry: &Dentry<PassFs>, kind: AclKind) -> Result<Option<PosixAcl>> {
        acl::get(dentry, kind)
    }

    fn set_acl(
        idmap: Idmap<'_>,
        dentry: &LockedDentry<'_, PassFs>,
        acl: Option<&PosixAcl>,
        kind: AclKind,
    ) -> Result {
        acl::set(idmap, dentry, acl, kind)
    }
}
