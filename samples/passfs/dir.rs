// SPDX-License-Identifier: GPL-2.0

//! Directories: looking up, making, removing and renaming.
//!
//! A name is looked up and changed below by the name itself, in the directory below. The VFS has
//! locked our directories, so our names stay; whoever uses the directory below without us can
//! change those there at any time, so each operation looks whether it found what we know, and
//! ends with `ESTALE` if not.

use crate::{
    file::RegularFile,
    inode::{
        self,
        inode_path,
        positive,
        real,
        refresh,
        refresh_links, //
    },
    PassFs, //
};
use core::iter;
use kernel::prelude::*;
use stacking::{
    cred::Creator,
    namei::Creating,
    prelude::*, //
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
    inode::{
        Fetched,
        Inode,
        Locked, //
    },
    mount::Idmap,
    namei::{
        InLookup,
        RenameFlags,
        Spliced, //
    },
    Foreign,
    Ref, //
};

/// `->lookup`
pub(crate) fn lookup<'a>(
    dir: &Inode<PassFs>,
    dentry: InLookup<'a, PassFs>,
) -> Result<Spliced<'a, PassFs>> {
    let below = inode_path(dir)?;
    let found = dir
        .sb()
        .data()
        .as_mounter(|m| below.lookup(m, dentry.name()))?;
    if found.is_negative() {
        // That the name is free is kept in our dentry; it need not be kept twice.
        found.drop_if_unused_negative();
        dentry.init_revalidation(iter::empty());
        return dentry.splice(None);
    }
    if found.is_weird() {
        return Err(EREMOTE);
    }
    dentry.init_revalidation(iter::once(&*found));
    let inode = inode::get(dir.sb(), found)?;
    dentry.splice(Some(inode))
}

/// The type of `mode` replaced by `kind`.
pub(crate) fn with_type(mode: u16, kind: u32) -> u16 {
    // CAST: the type is in the upper bits of 16.
    (mode & 0o7777) | kind as u16
}

/// Makes an object under the name of `dentry`: `what` makes it below, with the mode it gets.
///
/// The caller becomes its owner, though it is made with the mounter's credentials: that is what a
/// [`Creator`] is for.
pub(crate) fn make(
    idmap: Idmap<'_>,
    dir: &Locked<'_, PassFs>,
    dentry: Negative<'_, PassFs>,
    (mode, rdev): (u16, u32),
    what: impl FnOnce(Creating<'_>, u16) -> Result<Creating<'_>>,
) -> Result {
    let (sb, real_dir) = (dir.sb(), real(dir)?);
    let write = sb.data().mount().want_write()?;
    let mut new = inode::new(sb, mode, rdev)?;
    let mode = new.init_owner(idmap, dir, mode);
    let made: Result<_> = sb.data().as_mounter(|m| {
        Creator::new(m, &dentry, &new, mode)?.run(m, |m| {
            let name = write.start_creating(m, real_dir, dentry.name())?;
            // Kept by the mount, and no longer by what is locked here.
            sb.data().mount().adopt(what(name, mode)?.keep())
        })
    });
    let below = made?;
    let inode = inode::insert(sb, new, below.clone())?;
    finish(dir, dentry, inode, &below)
}

/// Gives `dentry` its inode, now that the object has its name below.
fn finish<'a>(
    dir: &Locked<'_, PassFs>,
    dentry: Negative<'_, PassFs>,
    inode: impl Into<Fetched<'a, PassFs>>,
    below: &Dentry<Foreign>,
) -> Result {
    refresh_links(dir);
    let dentry = dentry.instantiate(inode)?;
    dentry.init_revalidation(iter::once(below));
    Ok(())
}

/// `->link`
pub(crate) fn link(
    old: &LockedDentry<'_, PassFs>,
    dir: &Locked<'_, PassFs>,
    new: Negative<'_, PassFs>,
) -> Result {
    let inode = old.inode();
    let fs = dir.sb().data();
    let write = fs.mount().want_write()?;
    fs.as_mounter(|m| {
        let name = write.start_creating(m, real(dir)?, new.name())?;
        name.link(real(inode)?).map(drop)
    })?;
    refresh_links(inode);
    finish(dir, new, Ref::from(inode.inode()), real(inode)?)
}

/// Whether `found`, below, is what `dentry` stands for; both may be nothing.
fn is_expected(dentry: &Dentry<PassFs>, found: &Dentry<Foreign>) -> bool {
    let expected = dentry.inode().and_then(Inode::real).and_then(Dentry::inode);
    match (expected, found.inode()) {
        (Some(expected), Some(found)) => expected.is(found),
        (None, None) => true,
        _ => false,
    }
}

/// `->unlink` and `->rmdir`
pub(crate) fn remove(dir: &Locked<'_, PassFs>, dentry: &Positive<'_, PassFs>) -> Result {
    let inode = dentry.inode();
    let fs = dir.sb().data();
    let write = fs.mount().want_write()?;
    fs.as_mounter(|m| {
        let name = write.start_removing(m, real(dir)?, dentry.name())?;
        if !is_expected(dentry, name.dentry()) {
            return Err(ESTALE);
        }
        if inode.is_dir() {
            name.rmdir()
        } else {
            name.unlink()
        }
    })?;
    refresh_links(dir);
    refresh_links(inode);
    if inode.is_dir() {
        inode.clear_nlink();
    }
    // The VFS would turn it into a negative dentry, which asks for the revalidation of an object
    // that it does not stand for any more.
    dentry.drop_from_hash();
    Ok(())
}

/// `->rename`
pub(crate) fn rename(
    (old_dir, old): (&Locked<'_, PassFs>, Child<'_, PassFs>),
    (new_dir, new): (&Locked<'_, PassFs>, Child<'_, PassFs>),
    replaced: Option<&Locked<'_, PassFs>>,
    flags: RenameFlags,
) -> Result {
    let fs = old.sb().data();
    let write = fs.mount().want_write()?;
    fs.as_mounter(|m| {
        let names = write.start_renaming(
            m,
            (real(old_dir)?, old.name()),
            (real(new_dir)?, new.name()),
            flags,
        )?;
        if !is_expected(&old, names.old()) || !is_expected(&new, names.new_dentry()) {
            return Err(ESTALE);
        }
        names.rename()
    })?;
    refresh_links(old_dir);
    refresh_links(new_dir);
    refresh(positive(&old)?);
    if let Some(replaced) = replaced {
        refresh_links(replaced);
        if replaced.is_dir() {
            replaced.clear_nlink();
        }
    } else if let Some(exchanged) = new.inode() {
        refresh(exchanged);
    }
    Ok(())
}

/// `->tmpfile`
pub(crate) fn tmpfile(
    idmap: Idmap<'_>,
    dir: &Inode<PassFs>,
    mut file: TmpFile<'_, PassFs>,
    mode: u16,
) -> Result {
    let (sb, parent) = (dir.sb(), inode_path(dir)?);
    let write = sb.data().mount().want_write()?;
    let mut new = inode::new(sb, mode, 0)?;
    let mode = new.init_owner(idmap, dir, mode);
    let private: Result<_> = sb.data().as_mounter(|m| {
        Creator::new(m, &file.dentry(), &new, mode)?.run(m, |m| {
            let backing = file.open_backing(m, &write, file.flags(), parent, mode)?;
            let below = backing.dentry();
            let private = KBox::new(RegularFile::new(backing.clone()), GFP_KERNEL)?;
            let inode = inode::insert(sb, new, Ref::from(below))?;
            file.instantiate(inode)?;
            file.dentry().init_revalidation(iter::once(below));
            Ok(private)
        })
    });
    file.finish::<RegularFile>(private?)
}
