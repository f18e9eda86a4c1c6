// SPDX-License-Identifier: GPL-2.0

//! What is tried while names are looked up and objects are made.

use crate::{
    file::{
        Other,
        Pages,
        Trying, //
    },
    Misuser, //
};
use kernel::{
    bindings,
    prelude::*, //
};
use stacking::cred::Creator;
use vfs::{
    dentry::{
        Dentry,
        Negative, //
    },
    file::TmpFile,
    inode::{
        Inode,
        InodeTables,
        Locked,
        NewInode,
        Operations, //
    },
    mount::Idmap,
    namei::{
        InLookup,
        Spliced, //
    },
    super_block::SuperBlock,
    Ref, //
};

pub(crate) static DIR: InodeTables<Misuser> =
    InodeTables::directories::<DirOps>().with_simple_dir_operations();
pub(crate) static FILE: InodeTables<Misuser> =
    InodeTables::files::<FileOps>().with_file::<Trying>();
static PAGED: InodeTables<Misuser> = InodeTables::files::<FileOps>()
    .with_file::<Trying>()
    .with_pages::<Pages>();
static OTHER: InodeTables<Misuser> = InodeTables::files::<FileOps>().with_file::<Other>();

/// Type and permissions.
fn mode(kind: u32) -> u16 {
    // CAST: the type is in the upper bits of 16.
    kind as u16 | 0o777
}

/// A new inode of the type `kind`.
fn make<'a>(
    sb: &'a SuperBlock<Misuser>,
    kind: u32,
    tables: &InodeTables<Misuser>,
) -> Result<NewInode<'a, Misuser>> {
    let mut inode = sb.new_inode()?;
    inode.set_type(mode(kind), 0, tables);
    inode.set_next_ino();
    inode.init_times();
    inode.set_size(2 * i64::from(u16::MAX));
    Ok(inode)
}

pub(crate) fn make_root(sb: &SuperBlock<Misuser>) -> Result<NewInode<'_, Misuser>> {
    make(sb, bindings::S_IFDIR, &DIR)
}

/// There is a file or directory of each name, but of those that are to be made.
fn look_up<'a>(
    sb: &'a SuperBlock<Misuser>,
    name: &[u8],
) -> Result<Option<Ref<'a, Inode<Misuser>>>> {
    let (kind, tables) = if name.starts_with(b"new-") {
        return Ok(None);
    } else if name.starts_with(b"dir-") {
        (bindings::S_IFDIR, &DIR)
    } else if name.starts_with(b"paged-") {
        (bindings::S_IFREG, &PAGED)
    } else if name.starts_with(b"other-") {
        (bindings::S_IFREG, &OTHER)
    } else {
        (bindings::S_IFREG, &FILE)
    };
    Ok(Some(make(sb, kind, tables)?.publish()))
}

/// Tries what the name of `dentry` says, where an object is to be made.
fn attempt_making(dir: &Locked<'_, Misuser>, dentry: Negative<'_, Misuser>) -> Result {
    let (sb, fs) = (dir.sb(), dir.sb().data());
    match dentry.name() {
        b"new-nothing" => Ok(()),
        b"new-name-of-directory" => dentry.instantiate(Ref::from(dir.inode())).map(drop),
        b"new-persistent-cached" => {
            let key = fs.dir().dentry().inode().ok_or(EIO)?;
            dentry.make_persistent(sb.iget(key)?).map(drop)
        }
        b"new-creator-as-another" => {
            let inode = make(sb, bindings::S_IFREG, &FILE)?;
            let creator = |m: &_| Creator::new(m, &dentry, &inode, 0o600).map(drop);
            fs.mounter().run(|m| fs.second().run(|_| creator(m)))
        }
        _ => Err(ENOSYS),
    }
}

/// Tries what the name of the directory says, where a file without a name is to be made.
fn attempt_tmpfile(dir: &Inode<Misuser>, mut file: TmpFile<'_, Misuser>) -> Result {
    let alias = dir.any_alias().ok_or(EIO)?;
    alias.with_name(|name| match name {
        b"dir-not-opened" => Ok(()),
        b"dir-two-inodes" => {
            file.instantiate(make(dir.sb(), bindings::S_IFREG, &FILE)?)?;
            file.instantiate(make(dir.sb(), bindings::S_IFREG, &FILE)?)
        }
        b"dir-no-inode" => file.finish::<Trying>(()),
        b"dir-other-operations" => {
            file.instantiate(make(dir.sb(), bindings::S_IFREG, &FILE)?)?;
            file.finish::<Other>(())
        }
        _ => Err(ENOSYS),
    })
}

/// Directories.
pub(crate) struct DirOps;

#[vtable]
impl Operations for DirOps {
    type FileSystem = Misuser;

    fn lookup<'a>(
        dir: &Inode<Misuser>,
        dentry: InLookup<'a, Misuser>,
    ) -> Result<Spliced<'a, Misuser>> {
        let inode = look_up(dir.sb(), dentry.name())?;
        dentry.splice(inode)
    }

    fn create(
        _idmap: Idmap<'_>,
        dir: &Locked<'_, Misuser>,
        dentry: Negative<'_, Misuser>,
        _mode: u16,
    ) -> Result {
        attempt_making(dir, dentry)
    }

    fn mkdir(
        _idmap: Idmap<'_>,
        dir: &Locked<'_, Misuser>,
        dentry: Negative<'_, Misuser>,
        _mode: u16,
    ) -> Result {
        attempt_making(dir, dentry)
    }

    fn mknod(
        _idmap: Idmap<'_>,
        dir: &Locked<'_, Misuser>,
        dentry: Negative<'_, Misuser>,
        _mode: u16,
        _rdev: u32,
    ) -> Result {
        attempt_making(dir, dentry)
    }

    fn tmpfile(
        _idmap: Idmap<'_>,
        dir: &Inode<Misuser>,
        file: TmpFile<'_, Misuser>,
        _mode: u16,
    ) -> Result {
        attempt_tmpfile(dir, file)
    }
}

/// Regular files.
struct FileOps;

#[vtable]
impl Operations for FileOps {
    type FileSystem = Misuser;

    fn listxattr(_dentry: &Dentry<Misuser>, list: &mut [u8]) -> Result<usize> {
        // More than there is room for.
        Ok(list.len().saturating_add(1))
    }
}
