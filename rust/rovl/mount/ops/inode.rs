// SPDX-License-Identifier: GPL-2.0

//! The operations of inodes; what they do is in the file named after the operation.

use crate::{
    attr::{
        acl,
        fileattr,
        getattr::getattr,
        permission::{
            permission,
            permission_rcu, //
        },
        setattr::setattr,
        xattr::listxattr, //
    },
    file::RegularFile,
    namei::{
        create,
        link::link,
        lookup::lookup,
        remove,
        rename::rename,
        tmpfile::tmpfile, //
    },
    object::entry::{
        DentryExt,
        InodeExt, //
    },
    readdir::dir_file::DirFile,
    Rovl, //
};
use kernel::{
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
        InodeTables,
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

/// What [`InodeTables`] choose from.
struct InodeOps;

#[vtable]
impl Operations for InodeOps {
    type FileSystem = Rovl;

    #[inline]
    fn lookup<'a>(dir: &Inode<Rovl>, dentry: InLookup<'a, Rovl>) -> Result<Spliced<'a, Rovl>> {
        lookup(dir, dentry)
    }

    #[inline]
    fn get_link<'a>(dentry: &'a Dentry<Rovl>, done: DelayedCall<'a>) -> Result<Link<'a>> {
        let path = dentry.positive()?.real().top()?;
        dentry
            .sb()
            .data()
            .as_mounter(|m| path.dentry.get_link(m, done))
    }

    #[inline]
    fn create(
        idmap: Idmap<'_>,
        dir: &Locked<'_, Rovl>,
        dentry: Negative<'_, Rovl>,
        mode: u16,
    ) -> Result {
        create::create(idmap, dir, dentry, mode)
    }

    #[inline]
    fn link(
        old: &LockedDentry<'_, Rovl>,
        dir: &Locked<'_, Rovl>,
        new: Negative<'_, Rovl>,
    ) -> Result {
        link(old, dir, new)
    }

    #[inline]
    fn unlink(dir: &Locked<'_, Rovl>, dentry: &Positive<'_, Rovl>) -> Result {
        remove::unlink(dir, dentry)
    }

    #[inline]
    fn symlink(
        idmap: Idmap<'_>,
        dir: &Locked<'_, Rovl>,
        dentry: Negative<'_, Rovl>,
        target: &CStr,
    ) -> Result {
        create::symlink(idmap, dir, dentry, target)
    }

    #[inline]
    fn mkdir(
        idmap: Idmap<'_>,
        dir: &Locked<'_, Rovl>,
        dentry: Negative<'_, Rovl>,
        mode: u16,
    ) -> Result {
        create::mkdir(idmap, dir, dentry, mode)
    }

    #[inline]
    fn rmdir(dir: &Locked<'_, Rovl>, dentry: &Positive<'_, Rovl>) -> Result {
        remove::rmdir(dir, dentry)
    }

    #[inline]
    fn mknod(
        idmap: Idmap<'_>,
        dir: &Locked<'_, Rovl>,
        dentry: Negative<'_, Rovl>,
        mode: u16,
        rdev: u32,
    ) -> Result {
        create::mknod(idmap, dir, dentry, mode, rdev)
    }

    #[inline]
    fn rename(
        old_dir: &Locked<'_, Rovl>,
        old: Child<'_, Rovl>,
        new_dir: &Locked<'_, Rovl>,
        new: Child<'_, Rovl>,
        replaced: Option<&Locked<'_, Rovl>>,
        flags: RenameFlags,
    ) -> Result {
        rename((old_dir, old), (new_dir, new), replaced, flags)
    }

    #[inline]
    fn tmpfile(idmap: Idmap<'_>, dir: &Inode<Rovl>, file: TmpFile<'_, Rovl>, mode: u16) -> Result {
        tmpfile(idmap, dir, file, mode)
    }

    #[inline]
    fn permission(inode: &Inode<Rovl>, idmap: Idmap<'_>, mask: i32) -> Result {
        permission(inode, idmap, mask)
    }

    #[inline]
    fn permission_rcu(inode: RcuInode<'_, Rovl>, idmap: Idmap<'_>, mask: i32) -> Result {
        permission_rcu(inode, idmap, mask)
    }

    #[inline]
    fn getattr(
        idmap: Idmap<'_>,
        path: PathRef<'_, Rovl>,
        stat: &mut Kstat,
        request: StatRequest,
    ) -> Result {
        getattr(idmap, path, stat, request)
    }

    #[inline]
    fn setattr(idmap: Idmap<'_>, dentry: &LockedDentry<'_, Rovl>, change: Setattr<'_>) -> Result {
        setattr(idmap, dentry, change)
    }

    /// That of the upper object, which the mount's flags and the file system may leave as it is. Lower
    /// objects keep theirs.
    #[inline]
    fn update_atime(inode: &Inode<Rovl>, nowait: bool) -> Result {
        let Some(upper) = inode.real().upper_path() else {
            return Ok(());
        };
        if nowait {
            return Err(EAGAIN);
        }
        if upper.touch_atime() {
            inode.ofs().mounts.note_change();
        }
        if let Some(upper) = upper.dentry.inode() {
            inode.copy_atime(upper);
        }
        Ok(())
    }

    #[inline]
    fn listxattr(dentry: &Dentry<Rovl>, list: &mut [u8]) -> Result<usize> {
        listxattr(dentry, list)
    }

    #[inline]
    fn get_inode_acl(inode: &Inode<Rovl>, kind: AclKind) -> Result<Option<PosixAcl>> {
        acl::get_inode_acl(inode, kind)
    }

    #[inline]
    fn get_inode_acl_rcu<'a>(inode: RcuInode<'a, Rovl>, kind: AclKind) -> Result<RcuAcl<'a>> {
        acl::get_inode_acl_rcu(inode, kind)
    }

    #[inline]
    fn get_acl(dentry: &Dentry<Rovl>, kind: AclKind) -> Result<Option<PosixAcl>> {
        acl::get_acl(dentry, kind)
    }

    #[inline]
    fn set_acl(
        idmap: Idmap<'_>,
        dentry: &LockedDentry<'_, Rovl>,
        acl: Option<&PosixAcl>,
        kind: AclKind,
    ) -> Result {
        acl::set_acl(idmap, dentry, acl, kind)
    }

    #[inline]
    fn fileattr_get(dentry: &Dentry<Rovl>, attrs: &mut FileKattr) -> Result {
        fileattr::get(dentry, attrs)
    }

    #[inline]
    fn fileattr_set(
        _idmap: Idmap<'_>,
        dentry: &LockedDentry<'_, Rovl>,
        attrs: &mut FileKattr,
    ) -> Result {
        fileattr::set(dentry, attrs)
    }

    #[inline]
    fn fiemap(inode: &Inode<Rovl>, request: Fiemap<'_>, start: u64, len: u64) -> Result {
        let data = inode.data_path()?.dentry.inode().ok_or(EIO)?;
        inode
            .ofs()
            .as_mounter(|as_mounter| data.fiemap(as_mounter, request, start, len))
    }
}

static DIR: InodeTables<Rovl> = InodeTables::directories::<InodeOps>().with_file::<DirFile>();
static FILE: InodeTables<Rovl> = InodeTables::files::<InodeOps>().with_file::<RegularFile>();
static SYMLINK: InodeTables<Rovl> = InodeTables::symlinks::<InodeOps>();
static SPECIAL: InodeTables<Rovl> = InodeTables::special::<InodeOps>();

impl crate::object::inode::Operations for Rovl {
    #[inline]
    fn tables_for(mode: u16) -> &'static InodeTables<Rovl> {
        match u32::from(mode) & kernel::bindings::S_IFMT {
            kernel::bindings::S_IFDIR => &DIR,
            kernel::bindings::S_IFREG => &FILE,
            kernel::bindings::S_IFLNK => &SYMLINK,
            _ => &SPECIAL,
        }
    }
}
