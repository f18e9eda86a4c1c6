// SPDX-License-Identifier: GPL-2.0

//! Directories: looking up, making, removing and renaming.
//!
//! A directory entry is a *persistent* dentry: one with a reference of its own, so that it stays
//! though nobody uses it. The VFS has locked a directory whenever its entries change here, so what
//! is left to do is to count links and to set times.

use crate::{
    file::RegularFile,
    inode::{
        self,
        Kind, //
    },
    mount::NAME_MAX,
    MemFs, //
};
use kernel::{
    prelude::*,
    str::CStr, //
};
use vfs::{
    dentry::{
        Child,
        Dentry,
        LockedDentry,
        Negative,
        Positive, //
    },
    file::TmpFile,
    iattr::Setattr,
    inode::{
        Inode,
        Locked,
        Operations, //
    },
    mount::Idmap,
    namei::{
        InLookup,
        RenameFlag,
        RenameFlags,
        Spliced, //
    },
    path::PathRef,
    stat::{
        Kstat,
        StatRequest, //
    },
    Ref, //
};

/// The inode that `dentry` is a name of.
fn positive<'a>(dentry: &'a Dentry<MemFs>) -> Result<&'a Inode<MemFs>> {
    dentry.inode().ok_or(ENOENT)
}

/// Makes an object under the name of `dentry`.
fn make(
    idmap: Idmap<'_>,
    dir: &Locked<'_, MemFs>,
    dentry: Negative<'_, MemFs>,
    kind: Kind<'_>,
) -> Result {
    let inode = inode::new(idmap, dir, &dentry, kind)?;
    dentry.make_persistent(inode)?;
    if matches!(kind, Kind::Dir(_)) {
        // Its `..`
        dir.inc_nlink();
    }
    dir.touch();
    Ok(())
}

/// Takes a name away from `inode`; a directory has no entries, and loses its `.` too.
fn drop_name(inode: &Locked<'_, MemFs>) {
    if inode.is_dir() {
        inode.clear_nlink();
    } else {
        inode.drop_nlink();
    }
    inode.touch_ctime();
}

/// `->unlink` and `->rmdir`
fn remove(dir: &Locked<'_, MemFs>, dentry: &Positive<'_, MemFs>) -> Result {
    let inode = dentry.inode();
    if inode.is_dir() {
        if !dentry.has_no_entries() {
            return Err(ENOTEMPTY);
        }
        dir.drop_nlink();
    }
    drop_name(inode);
    dir.touch();
    dentry.make_discardable();
    Ok(())
}

/// `->rename`: the VFS moves the dentries; here are the links and the times.
fn rename(
    (old_dir, old): (&Locked<'_, MemFs>, Child<'_, MemFs>),
    (new_dir, new): (&Locked<'_, MemFs>, Child<'_, MemFs>),
    replaced: Option<&Locked<'_, MemFs>>,
    flags: RenameFlags,
) -> Result {
    // That there is nothing to replace, for `RENAME_NOREPLACE`, the VFS has looked.
    if flags.has_other_than(RenameFlag::Exchange | RenameFlag::Noreplace) {
        return Err(EINVAL);
    }
    let inode = positive(&old)?;
    if let Some(victim) = replaced {
        if !new.has_no_entries() {
            return Err(ENOTEMPTY);
        }
        if victim.is_dir() {
            new_dir.drop_nlink();
        }
        drop_name(victim);
        new.make_discardable();
    }
    // Each directory that moves takes the link of its `..` with it.
    if inode.is_dir() {
        old_dir.drop_nlink();
        new_dir.inc_nlink();
    }
    if let (Some(other), None) = (new.inode(), replaced) {
        // The two are exchanged.
        if other.is_dir() {
            new_dir.drop_nlink();
            old_dir.inc_nlink();
        }
        other.touch_ctime();
    }
    inode.touch_ctime();
    old_dir.touch();
    new_dir.touch();
    Ok(())
}

/// Directories.
pub(crate) struct DirOps;

#[vtable]
impl Operations for DirOps {
    type FileSystem = MemFs;

    fn lookup<'a>(_dir: &Inode<MemFs>, dentry: InLookup<'a, MemFs>) -> Result<Spliced<'a, MemFs>> {
        // All names that exist have dentries, and this one had none.
        if dentry.name().len() > NAME_MAX {
            return Err(ENAMETOOLONG);
        }
        dentry.splice(None)
    }

    fn create(
        idmap: Idmap<'_>,
        dir: &Locked<'_, MemFs>,
        dentry: Negative<'_, MemFs>,
        mode: u16,
    ) -> Result {
        make(idmap, dir, dentry, Kind::File(mode))
    }

    fn mkdir(
        idmap: Idmap<'_>,
        dir: &Locked<'_, MemFs>,
        dentry: Negative<'_, MemFs>,
        mode: u16,
    ) -> Result {
        make(idmap, dir, dentry, Kind::Dir(mode))
    }

    fn symlink(
        idmap: Idmap<'_>,
        dir: &Locked<'_, MemFs>,
        dentry: Negative<'_, MemFs>,
        target: &CStr,
    ) -> Result {
        make(idmap, dir, dentry, Kind::Symlink(target))
    }

    fn link(
        old: &LockedDentry<'_, MemFs>,
        dir: &Locked<'_, MemFs>,
        new: Negative<'_, MemFs>,
    ) -> Result {
        let inode = old.inode();
        new.make_persistent(Ref::from(inode.inode()))?;
        inode.inc_nlink();
        inode.touch_ctime();
        dir.touch();
        Ok(())
    }

    fn unlink(dir: &Locked<'_, MemFs>, dentry: &Positive<'_, MemFs>) -> Result {
        remove(dir, dentry)
    }

    fn rmdir(dir: &Locked<'_, MemFs>, dentry: &Positive<'_, MemFs>) -> Result {
        remove(dir, dentry)
    }

    fn rename(
        old_dir: &Locked<'_, MemFs>,
        old: Child<'_, MemFs>,
        new_dir: &Locked<'_, MemFs>,
        new: Child<'_, MemFs>,
        replaced: Option<&Locked<'_, MemFs>>,
        flags: RenameFlags,
    ) -> Result {
        rename((old_dir, old), (new_dir, new), replaced, flags)
    }

    fn tmpfile(
        idmap: Idmap<'_>,
        dir: &Inode<MemFs>,
        mut file: TmpFile<'_, MemFs>,
        mode: u16,
    ) -> Result {
        let mut inode = inode::new(idmap, dir, &file.dentry(), Kind::File(mode))?;
        // It has no name; link(2) may give it one.
        inode.set_nlink(0);
        file.instantiate(inode)?;
        file.finish::<RegularFile>(())
    }

    fn getattr(
        idmap: Idmap<'_>,
        path: PathRef<'_, MemFs>,
        stat: &mut Kstat,
        request: StatRequest,
    ) -> Result {
        inode::getattr(idmap, path, stat, request)
    }

    fn setattr(idmap: Idmap<'_>, dentry: &LockedDentry<'_, MemFs>, change: Setattr<'_>) -> Result {
        inode::setattr(idmap, dentry, change)
    }
}
