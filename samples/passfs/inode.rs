// SPDX-License-Identifier: GPL-2.0

//! Inodes: one for each object below that is in use, found by the inode of that object.

use crate::{
    file::RegularFile,
    operations::InodeOps,
    readdir::DirFile,
    PassFs, //
};
use kernel::{
    bindings,
    prelude::*, //
};
use stacking::{
    path::LayerPath,
    prelude::*, //
};
use vfs::{
    dentry::Dentry,
    inode::{
        Fetched,
        Inode,
        InodeTables,
        Locked,
        NewInode, //
    },
    super_block::SuperBlock,
    Foreign,
    Ref, //
};

/// The flags of an inode below that the VFS has to know of here, too.
pub(crate) const COPIED_FLAGS: u32 =
    bindings::S_APPEND | bindings::S_IMMUTABLE | bindings::S_SYNC | bindings::S_NOATIME;

// Each type of object has its tables of operations, as in C. What a table does not have the VFS
// refuses, or does by itself.
static DIR: InodeTables<PassFs> = InodeTables::directories::<InodeOps>().with_file::<DirFile>();
static FILE: InodeTables<PassFs> = InodeTables::files::<InodeOps>().with_file::<RegularFile>();
static SYMLINK: InodeTables<PassFs> = InodeTables::symlinks::<InodeOps>();
static SPECIAL: InodeTables<PassFs> = InodeTables::special::<InodeOps>();

fn tables_for(mode: u16) -> &'static InodeTables<PassFs> {
    match u32::from(mode) & bindings::S_IFMT {
        bindings::S_IFDIR => &DIR,
        bindings::S_IFREG => &FILE,
        bindings::S_IFLNK => &SYMLINK,
        // The VFS opens devices, fifos and sockets itself.
        _ => &SPECIAL,
    }
}

/// The inode that `dentry` is a name of. Only a race shows a negative dentry to an operation.
pub(crate) fn positive(dentry: &Dentry<PassFs>) -> Result<&Inode<PassFs>> {
    dentry.inode().ok_or(ENOENT)
}

/// The object below that `inode` stands for.
#[inline]
pub(crate) fn real(inode: &Inode<PassFs>) -> Result<&Dentry<Foreign>> {
    inode.real().ok_or(EIO)
}

/// The object below that `inode` stands for, as a path.
#[inline]
pub(crate) fn inode_path(inode: &Inode<PassFs>) -> Result<LayerPath<'_>> {
    inode.sb().data().path(real(inode)?)
}

/// The object below that `dentry` stands for, as a path.
pub(crate) fn path(dentry: &Dentry<PassFs>) -> Result<LayerPath<'_>> {
    inode_path(positive(dentry)?)
}

/// Finds or makes the inode for the object `real`.
pub(crate) fn get<'a>(
    sb: &'a SuperBlock<PassFs>,
    real: Ref<'_, Dentry<Foreign>>,
) -> Result<Ref<'a, Inode<PassFs>>> {
    let fetched = sb.iget(real.inode().ok_or(ENOENT)?)?;
    Ok(complete(sb, fetched, real)?.publish())
}

/// Makes an inode for an object that is about to be made below, so that nothing can fail once it
/// is there. It goes on with [`insert`]; if it is dropped instead, it never was.
pub(crate) fn new(sb: &SuperBlock<PassFs>, mode: u16, rdev: u32) -> Result<NewInode<'_, PassFs>> {
    let mut inode = sb.new_inode()?;
    inode.set_type(mode, rdev, tables_for(mode));
    inode.mark_creating();
    Ok(inode)
}

/// Makes `new` the inode of the object `real`, which was made just now.
pub(crate) fn insert<'a>(
    sb: &SuperBlock<PassFs>,
    new: NewInode<'a, PassFs>,
    real: Ref<'_, Dentry<Foreign>>,
) -> Result<Fetched<'a, PassFs>> {
    let fetched = new.insert(real.inode().ok_or(EIO)?)?;
    complete(sb, fetched, real)
}

/// Completes an inode, if it is a new one.
fn complete<'a>(
    sb: &SuperBlock<PassFs>,
    fetched: Fetched<'a, PassFs>,
    real: Ref<'_, Dentry<Foreign>>,
) -> Result<Fetched<'a, PassFs>> {
    let mut fetched = fetched;
    if let Fetched::New(inode) = &mut fetched {
        fill(sb, inode, real)?;
    }
    Ok(fetched)
}

/// Makes the inode of the root. The VFS keeps it, so it need not be found.
pub(crate) fn make_root<'a>(
    sb: &'a SuperBlock<PassFs>,
    real: Ref<'_, Dentry<Foreign>>,
) -> Result<NewInode<'a, PassFs>> {
    let mut inode = sb.new_inode()?;
    fill(sb, &mut inode, real)?;
    Ok(inode)
}

/// Gives a new inode what it is to be.
fn fill(
    sb: &SuperBlock<PassFs>,
    inode: &mut NewInode<'_, PassFs>,
    real: Ref<'_, Dentry<Foreign>>,
) -> Result {
    let below = real.inode().ok_or(EIO)?;
    inode.set_type(below.mode(), below.rdev(), tables_for(below.mode()));
    inode.set_ino(below.ino());
    inode.set_nlink(below.nlink());
    inode.set_flags(below.flags(), COPIED_FLAGS);
    // Owners are as the mount below shows them, which may be id-mapped.
    inode.copy_attr(below, sb.data().mount().idmap());
    inode.set_real(real)
}

/// Shows size, times, owner and mode as the object below has them now.
///
/// The VFS looks at some of these in our inode, to check permissions for one. An operation that
/// changes an object below ends with this.
pub(crate) fn refresh(inode: &Inode<PassFs>) {
    if let Some(below) = inode.real().and_then(Dentry::inode) {
        inode.copy_attr(below, inode.sb().data().mount().idmap());
    }
}

/// As [`refresh`], with the number of links. For operations that change it.
pub(crate) fn refresh_links(inode: &Locked<'_, PassFs>) {
    refresh(inode);
    if let Some(below) = inode.real().and_then(Dentry::inode) {
        inode.set_nlink(below.nlink());
    }
}
