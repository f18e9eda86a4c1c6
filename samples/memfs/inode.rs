// SPDX-License-Identifier: GPL-2.0

//! Inodes: how they are made, and the operations of each type.
//!
//! An inode lives as long as it has a name, or somebody uses it: the dentry of each name has a
//! reference. There is no cache of inodes, because they cannot be read from anywhere.

use crate::{
    dir::DirOps,
    file::{
        Pages,
        RegularFile, //
    },
    MemFs, //
};
use kernel::{
    bindings,
    prelude::*,
    str::CString,
    sync::SetOnce, //
};
use vfs::{
    dentry::{
        Dentry,
        LockedDentry,
        StableName, //
    },
    iattr::Setattr,
    inode::{
        DelayedCall,
        Inode,
        InodeTables,
        Link,
        NewInode,
        Operations, //
    },
    mount::Idmap,
    path::PathRef,
    stat::{
        Kstat,
        StatRequest, //
    },
    super_block::SuperBlock,
};

/// What an inode knows, beside what `struct inode` has.
pub(crate) struct MemInode {
    /// The target of a symbolic link, which never changes.
    target: SetOnce<CString>,
}

impl MemInode {
    pub(crate) fn new() -> Self {
        Self {
            target: SetOnce::new(),
        }
    }
}

// Each type of object has its tables of operations, as in C. What a table does not have the VFS
// refuses, or does by itself: for one, it lists the dentries of a directory.
static DIR: InodeTables<MemFs> = InodeTables::directories::<DirOps>().with_simple_dir_operations();
static FILE: InodeTables<MemFs> = InodeTables::files::<FileOps>()
    .with_file::<RegularFile>()
    .with_pages::<Pages>();
static SYMLINK: InodeTables<MemFs> = InodeTables::symlinks::<SymlinkOps>();

/// What to make.
#[derive(Clone, Copy)]
pub(crate) enum Kind<'a> {
    /// A regular file with these permissions.
    File(u16),
    /// A directory with these permissions.
    Dir(u16),
    /// A symbolic link to this target.
    Symlink(&'a CStr),
}

impl Kind<'_> {
    /// Type and permissions.
    fn mode(self) -> u16 {
        let (kind, permissions) = match self {
            Self::File(mode) => (bindings::S_IFREG, mode),
            Self::Dir(mode) => (bindings::S_IFDIR, mode),
            Self::Symlink(_) => (bindings::S_IFLNK, 0o777),
        };
        // CAST: the type is in the upper bits of 16.
        kind as u16 | (permissions & 0o7777)
    }

    fn tables(self) -> &'static InodeTables<MemFs> {
        match self {
            Self::File(_) => &FILE,
            Self::Dir(_) => &DIR,
            Self::Symlink(_) => &SYMLINK,
        }
    }
}

/// Gives a new inode what does not depend on where it is made.
fn fill(inode: &mut NewInode<'_, MemFs>, kind: Kind<'_>, mode: u16) -> Result {
    inode.set_type(mode, 0, kind.tables());
    inode.set_next_ino();
    inode.init_times();
    match kind {
        // One for its name, and one for `.`.
        Kind::Dir(_) => inode.set_nlink(2),
        Kind::File(_) => {}
        Kind::Symlink(target) => {
            inode.set_size(i64::try_from(target.to_bytes().len())?);
            inode.data().target.populate(CString::try_from(target)?);
        }
    }
    Ok(())
}

/// Makes the inode for the name `dentry` in `dir`. The caller becomes its owner.
///
/// It is not visible before it is published; if it is dropped instead, it never was.
pub(crate) fn new<'a>(
    idmap: Idmap<'_>,
    dir: &'a Inode<MemFs>,
    dentry: &impl StableName<MemFs>,
    kind: Kind<'_>,
) -> Result<NewInode<'a, MemFs>> {
    let mut inode = dir.sb().new_inode()?;
    let mode = inode.init_owner(idmap, dir, kind.mode());
    fill(&mut inode, kind, mode)?;
    inode.init_security(dir, dentry)?;
    Ok(inode)
}

/// Makes the inode of the root, which belongs to the user 0 of the machine, who mounted.
pub(crate) fn make_root(sb: &SuperBlock<MemFs>) -> Result<NewInode<'_, MemFs>> {
    let kind = Kind::Dir(0o755);
    let mut inode = sb.new_inode()?;
    fill(&mut inode, kind, kind.mode())?;
    Ok(inode)
}

/// `->getattr`: everything is in the inode, and the page cache knows the space.
pub(crate) fn getattr(
    idmap: Idmap<'_>,
    path: PathRef<'_, MemFs>,
    stat: &mut Kstat,
    request: StatRequest,
) -> Result {
    path.fill_from_inode(idmap, stat, request)
}

/// `->setattr`
pub(crate) fn setattr(
    idmap: Idmap<'_>,
    dentry: &LockedDentry<'_, MemFs>,
    mut change: Setattr<'_>,
) -> Result {
    change.prepare(idmap, dentry)?;
    change.apply(idmap, dentry)
}

/// Regular files.
struct FileOps;

#[vtable]
impl Operations for FileOps {
    type FileSystem = MemFs;

    fn getattr(
        idmap: Idmap<'_>,
        path: PathRef<'_, MemFs>,
        stat: &mut Kstat,
        request: StatRequest,
    ) -> Result {
        getattr(idmap, path, stat, request)
    }

    fn setattr(idmap: Idmap<'_>, dentry: &LockedDentry<'_, MemFs>, change: Setattr<'_>) -> Result {
        setattr(idmap, dentry, change)
    }
}

/// Symbolic links.
struct SymlinkOps;

#[vtable]
impl Operations for SymlinkOps {
    type FileSystem = MemFs;

    fn get_link<'a>(dentry: &'a Dentry<MemFs>, _done: DelayedCall<'a>) -> Result<Link<'a>> {
        let inode = dentry.inode().ok_or(ENOENT)?;
        let target = inode.data().target.as_ref().ok_or(EIO)?;
        Ok(Link::kept(target))
    }

    fn getattr(
        idmap: Idmap<'_>,
        path: PathRef<'_, MemFs>,
        stat: &mut Kstat,
        request: StatRequest,
    ) -> Result {
        getattr(idmap, path, stat, request)
    }

    fn setattr(idmap: Idmap<'_>, dentry: &LockedDentry<'_, MemFs>, change: Setattr<'_>) -> Result {
        setattr(idmap, dentry, change)
    }
}
