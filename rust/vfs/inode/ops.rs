// SPDX-License-Identifier: GPL-2.0

//! `struct inode_operations`.

use super::{
    DelayedCall,
    Fiemap,
    Inode,
    Link,
    Locked,
    RcuInode,
    Table, //
};
use crate::{
    address_space,
    bindings,
    dentry::{
        Child,
        Dentry,
        LockedDentry,
        Negative,
        Positive, //
    },
    file,
    fileattr::FileKattr,
    iattr::Setattr,
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
    FileSystem,
    Of, //
};
use core::{
    marker::PhantomData,
    ptr, //
};
use kernel::{
    error::{
        VTABLE_DEFAULT_ERROR, //
    },
    prelude::*,
    str::CStr, //
};

/// The tables of one type of inode of `F`.
///
/// What a table leaves out is a null pointer in C's, for which the VFS has a meaning of its own. So one
/// implementation of [`Operations`] does for all types, and each table has what is of its type.
pub struct InodeTables<F> {
    pub(crate) inode: *const bindings::inode_operations,
    pub(crate) file: *const bindings::file_operations,
    pub(crate) pages: *const bindings::address_space_operations,
    _of: Of<F>,
}

// SAFETY: The tables are constants.
unsafe impl<F> Sync for InodeTables<F> {}
// SAFETY: The tables are constants.
unsafe impl<F> Send for InodeTables<F> {}

impl<F: FileSystem> InodeTables<F> {
    const fn of(inode: &'static bindings::inode_operations) -> Self {
        Self {
            inode,
            file: ptr::null(),
            pages: ptr::null(),
            _of: PhantomData,
        }
    }

    /// The tables of directories: of the operations `I` all but `get_link` and `fiemap`.
    pub const fn directories<I: Operations<FileSystem = F>>() -> Self {
        Self::of(Table::<I>::DIRECTORIES)
    }

    /// The tables of regular files: of `I` what has to do with attributes, and `fiemap`.
    pub const fn files<I: Operations<FileSystem = F>>() -> Self {
        Self::of(Table::<I>::FILES)
    }

    /// The tables of symbolic links: of `I` `get_link`, `getattr`, `setattr`, `update_atime` and
    /// `listxattr`. What they permit the VFS knows, and they have no access control lists.
    pub const fn symlinks<I: Operations<FileSystem = F>>() -> Self {
        Self::of(Table::<I>::SYMLINKS)
    }

    /// The tables of devices, fifos and sockets: of `I` what has to do with attributes, but not with
    /// file attributes.
    pub const fn special<I: Operations<FileSystem = F>>() -> Self {
        Self::of(Table::<I>::SPECIAL)
    }

    /// Adds the operations of open files.
    pub const fn with_file<O: file::Operations<FileSystem = F>>(self) -> Self {
        Self {
            file: O::TABLE.as_raw(),
            ..self
        }
    }

    /// Adds the operations of the page cache, for regular files that have their data there.
    pub const fn with_pages<P: address_space::Operations<FileSystem = F>>(self) -> Self {
        Self {
            pages: P::TABLE.as_raw(),
            ..self
        }
    }

    /// Adds operations of open directories whose entries are persistent dentries
    /// (`simple_dir_operations`), see [`Negative::make_persistent`].
    pub const fn with_simple_dir_operations(self) -> Self {
        Self {
            file: &raw const bindings::simple_dir_operations,
            ..self
        }
    }
}

/// The operations of `struct inode_operations`.
///
/// What the VFS holds of `i_rwsem` (Documentation/filesystems/locking.rst) is in the arguments: a
/// [`Locked`] is held for writing, and so is that of the directory of a [`Child`]. Unless an operation
/// says otherwise it may sleep.
#[vtable]
pub trait Operations {
    /// Whose inodes these are.
    type FileSystem: FileSystem;

    /// Finds `dentry` in `dir`, and ends with [`InLookup::splice`].
    ///
    /// `dir` is locked at least for reading.
    fn lookup<'a>(
        _dir: &Inode<Self::FileSystem>,
        _dentry: InLookup<'a, Self::FileSystem>,
    ) -> Result<Spliced<'a, Self::FileSystem>> {
        build_error!(VTABLE_DEFAULT_ERROR)
    }

    /// The target of a symbolic link.
    ///
    /// Is not called in RCU walk.
    fn get_link<'a>(
        _dentry: &'a Dentry<Self::FileSystem>,
        _done: DelayedCall<'a>,
    ) -> Result<Link<'a>> {
        build_error!(VTABLE_DEFAULT_ERROR)
    }

    /// Checks permissions.
    fn permission(_inode: &Inode<Self::FileSystem>, _idmap: Idmap<'_>, _mask: i32) -> Result {
        build_error!(VTABLE_DEFAULT_ERROR)
    }

    /// Checks permissions in RCU walk, without blocking. `ECHILD` asks for a call of
    /// [`permission`](Self::permission).
    fn permission_rcu(
        _inode: RcuInode<'_, Self::FileSystem>,
        _idmap: Idmap<'_>,
        _mask: i32,
    ) -> Result {
        Err(ECHILD)
    }

    /// Makes a regular file.
    fn create(
        _idmap: Idmap<'_>,
        _dir: &Locked<'_, Self::FileSystem>,
        _dentry: Negative<'_, Self::FileSystem>,
        _mode: u16,
    ) -> Result {
        build_error!(VTABLE_DEFAULT_ERROR)
    }

    /// Makes another name for `old`.
    fn link(
        _old: &LockedDentry<'_, Self::FileSystem>,
        _dir: &Locked<'_, Self::FileSystem>,
        _new: Negative<'_, Self::FileSystem>,
    ) -> Result {
        build_error!(VTABLE_DEFAULT_ERROR)
    }

    /// Removes a name of something that is not a directory.
    fn unlink(
        _dir: &Locked<'_, Self::FileSystem>,
        _dentry: &Positive<'_, Self::FileSystem>,
    ) -> Result {
        build_error!(VTABLE_DEFAULT_ERROR)
    }

    /// Makes a symbolic link.
    fn symlink(
        _idmap: Idmap<'_>,
        _dir: &Locked<'_, Self::FileSystem>,
        _dentry: Negative<'_, Self::FileSystem>,
        _target: &CStr,
    ) -> Result {
        build_error!(VTABLE_DEFAULT_ERROR)
    }

    /// Makes a directory.
    fn mkdir(
        _idmap: Idmap<'_>,
        _dir: &Locked<'_, Self::FileSystem>,
        _dentry: Negative<'_, Self::FileSystem>,
        _mode: u16,
    ) -> Result {
        build_error!(VTABLE_DEFAULT_ERROR)
    }

    /// Removes a directory.
    fn rmdir(
        _dir: &Locked<'_, Self::FileSystem>,
        _dentry: &Positive<'_, Self::FileSystem>,
    ) -> Result {
        build_error!(VTABLE_DEFAULT_ERROR)
    }

    /// Makes a device, a fifo or a socket.
    fn mknod(
        _idmap: Idmap<'_>,
        _dir: &Locked<'_, Self::FileSystem>,
        _dentry: Negative<'_, Self::FileSystem>,
        _mode: u16,
        _rdev: u32,
    ) -> Result {
        build_error!(VTABLE_DEFAULT_ERROR)
    }

    /// Renames `old` in `old_dir` to `new` in `new_dir`, which may be one directory. The VFS moves the
    /// dentries afterwards.
    ///
    /// `replaced` is the inode of `new`, if that goes. Of two that are exchanged, and of what is
    /// renamed, a directory that stays in its directory is not locked.
    fn rename(
        _old_dir: &Locked<'_, Self::FileSystem>,
        _old: Child<'_, Self::FileSystem>,
        _new_dir: &Locked<'_, Self::FileSystem>,
        _new: Child<'_, Self::FileSystem>,
        _replaced: Option<&Locked<'_, Self::FileSystem>>,
        _flags: RenameFlags,
    ) -> Result {
        build_error!(VTABLE_DEFAULT_ERROR)
    }

    /// Makes a file without a name in `dir`, which is not locked, and opens it, which ends with
    /// [`TmpFile::finish`](file::TmpFile::finish).
    fn tmpfile(
        _idmap: Idmap<'_>,
        _dir: &Inode<Self::FileSystem>,
        _file: file::TmpFile<'_, Self::FileSystem>,
        _mode: u16,
    ) -> Result {
        build_error!(VTABLE_DEFAULT_ERROR)
    }

    /// Fills in `stat`.
    fn getattr(
        _idmap: Idmap<'_>,
        _path: PathRef<'_, Self::FileSystem>,
        _stat: &mut Kstat,
        _request: StatRequest,
    ) -> Result {
        build_error!(VTABLE_DEFAULT_ERROR)
    }

    /// Lists the extended attributes, each name with a NUL, and returns the length. An empty buffer
    /// asks for the length.
    fn listxattr(_dentry: &Dentry<Self::FileSystem>, _list: &mut [u8]) -> Result<usize> {
        build_error!(VTABLE_DEFAULT_ERROR)
    }

    /// Reads an access control list to check permissions.
    fn get_inode_acl(_inode: &Inode<Self::FileSystem>, _kind: AclKind) -> Result<Option<PosixAcl>> {
        build_error!(VTABLE_DEFAULT_ERROR)
    }

    /// As [`get_inode_acl`](Self::get_inode_acl) in RCU walk, without blocking. `ECHILD` asks for a
    /// call of that.
    fn get_inode_acl_rcu<'a>(
        _inode: RcuInode<'a, Self::FileSystem>,
        _kind: AclKind,
    ) -> Result<RcuAcl<'a>> {
        Err(ECHILD)
    }

    /// Reads an access control list for the caller.
    fn get_acl(_dentry: &Dentry<Self::FileSystem>, _kind: AclKind) -> Result<Option<PosixAcl>> {
        build_error!(VTABLE_DEFAULT_ERROR)
    }

    /// Sets an access control list, or removes it.
    ///
    /// Ids in `acl` are those of the file system, not as the mount shows them.
    fn set_acl(
        _idmap: Idmap<'_>,
        _dentry: &LockedDentry<'_, Self::FileSystem>,
        _acl: Option<&PosixAcl>,
        _kind: AclKind,
    ) -> Result {
        build_error!(VTABLE_DEFAULT_ERROR)
    }

    /// Fills in file attributes.
    fn fileattr_get(_dentry: &Dentry<Self::FileSystem>, _attrs: &mut FileKattr) -> Result {
        build_error!(VTABLE_DEFAULT_ERROR)
    }

    /// Sets file attributes.
    fn fileattr_set(
        _idmap: Idmap<'_>,
        _dentry: &LockedDentry<'_, Self::FileSystem>,
        _attrs: &mut FileKattr,
    ) -> Result {
        build_error!(VTABLE_DEFAULT_ERROR)
    }

    /// Changes attributes.
    fn setattr(
        _idmap: Idmap<'_>,
        _dentry: &LockedDentry<'_, Self::FileSystem>,
        _change: Setattr<'_>,
    ) -> Result {
        build_error!(VTABLE_DEFAULT_ERROR)
    }

    /// Updates the access time (`FS_UPD_ATIME`); other times are the layers' own.
    fn update_atime(_inode: &Inode<Self::FileSystem>, _nowait: bool) -> Result {
        build_error!(VTABLE_DEFAULT_ERROR)
    }

    /// Tells the extents of the `len` bytes from `start` on.
    fn fiemap(
        _inode: &Inode<Self::FileSystem>,
        _request: Fiemap<'_>,
        _start: u64,
        _len: u64,
    ) -> Result {
        build_error!(VTABLE_DEFAULT_ERROR)
    }
}
