// SPDX-License-Identifier: GPL-2.0

//! `struct inode_operations`.

mod attrs;

use super::{
    Fiemap,
    Inode,
    RcuInode, //
};
use crate::{
    bindings,
    cred::AsMounter,
    dentry::{
        Dentry,
        Stable, //
    },
    file,
    fileattr::FileKattr,
    iattr::Setattr,
    mount::Idmap,
    namei::{
        InLookup,
        RenameFlags, //
    },
    path::OwnPath,
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
    Layer,
    Of, //
};
use core::{
    marker::PhantomData,
    ptr, //
};
use kernel::{
    error::{
        from_err_ptr,
        from_result,
        VTABLE_DEFAULT_ERROR, //
    },
    prelude::*,
    str::{
        CStr,
        CString, //
    },
    sync::aref::ARef, //
};

/// The tables of one type of inode of `F`.
pub struct RawTables<F> {
    pub(crate) inode: *const bindings::inode_operations,
    pub(crate) file: *const bindings::file_operations,
    _of: Of<F>,
}

// SAFETY: The tables are constants.
unsafe impl<F> Sync for RawTables<F> {}
// SAFETY: The tables are constants.
unsafe impl<F> Send for RawTables<F> {}

impl<F: FileSystem> RawTables<F> {
    /// The tables of inodes with the operations `I`, which cannot be opened by the file system.
    pub const fn new<I: Operations<FileSystem = F>>() -> Self {
        Self {
            inode: Table::<I>::TABLE,
            file: ptr::null(),
            _of: PhantomData,
        }
    }

    /// Adds the operations of open files.
    pub const fn with_file<O: file::Operations<FileSystem = F>>(self) -> Self {
        Self {
            file: file::Table::<O>::TABLE,
            ..self
        }
    }
}

/// The operations of `struct inode_operations`.
///
/// What the VFS guarantees of locks is in Documentation/filesystems/locking.rst. Unless an operation
/// says otherwise it may sleep.
#[vtable]
pub trait Operations {
    /// Whose inodes these are.
    type FileSystem: FileSystem;

    /// Finds `dentry` in `dir`, and ends with [`InLookup::splice`].
    ///
    /// `dir` is locked at least for reading. Returns an alias that is to be used instead, if any.
    fn lookup(
        _dir: &Inode<Self::FileSystem>,
        _dentry: InLookup<'_, Self::FileSystem>,
    ) -> Result<Option<ARef<Dentry<Self::FileSystem>>>> {
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
        _dir: &Inode<Self::FileSystem>,
        _dentry: Stable<'_, Self::FileSystem>,
        _mode: u16,
    ) -> Result {
        build_error!(VTABLE_DEFAULT_ERROR)
    }

    /// Makes another name for `old`.
    fn link(
        _old: &Dentry<Self::FileSystem>,
        _dir: &Inode<Self::FileSystem>,
        _new: Stable<'_, Self::FileSystem>,
    ) -> Result {
        build_error!(VTABLE_DEFAULT_ERROR)
    }

    /// Removes a name of something that is not a directory.
    fn unlink(_dir: &Inode<Self::FileSystem>, _dentry: Stable<'_, Self::FileSystem>) -> Result {
        build_error!(VTABLE_DEFAULT_ERROR)
    }

    /// Makes a symbolic link.
    fn symlink(
        _idmap: Idmap<'_>,
        _dir: &Inode<Self::FileSystem>,
        _dentry: Stable<'_, Self::FileSystem>,
        _target: &CStr,
    ) -> Result {
        build_error!(VTABLE_DEFAULT_ERROR)
    }

    /// Makes a directory.
    fn mkdir(
        _idmap: Idmap<'_>,
        _dir: &Inode<Self::FileSystem>,
        _dentry: Stable<'_, Self::FileSystem>,
        _mode: u16,
    ) -> Result {
        build_error!(VTABLE_DEFAULT_ERROR)
    }

    /// Removes a directory.
    fn rmdir(_dir: &Inode<Self::FileSystem>, _dentry: Stable<'_, Self::FileSystem>) -> Result {
        build_error!(VTABLE_DEFAULT_ERROR)
    }

    /// Makes a device, a fifo or a socket.
    fn mknod(
        _idmap: Idmap<'_>,
        _dir: &Inode<Self::FileSystem>,
        _dentry: Stable<'_, Self::FileSystem>,
        _mode: u16,
        _rdev: u32,
    ) -> Result {
        build_error!(VTABLE_DEFAULT_ERROR)
    }

    /// Renames.
    fn rename(
        _old: Stable<'_, Self::FileSystem>,
        _new: Stable<'_, Self::FileSystem>,
        _flags: RenameFlags,
    ) -> Result {
        build_error!(VTABLE_DEFAULT_ERROR)
    }

    /// Makes a file without a name in `dir` and opens it, which ends with
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
        _path: OwnPath<'_, Self::FileSystem>,
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

    /// Sets an access control list, or removes it. `i_rwsem` is held for writing.
    ///
    /// Ids in `acl` are those of the file system, not as the mount shows them.
    fn set_acl(
        _idmap: Idmap<'_>,
        _dentry: &Dentry<Self::FileSystem>,
        _acl: Option<&PosixAcl>,
        _kind: AclKind,
    ) -> Result {
        build_error!(VTABLE_DEFAULT_ERROR)
    }

    /// Fills in file attributes.
    fn fileattr_get(_dentry: &Dentry<Self::FileSystem>, _attrs: &mut FileKattr) -> Result {
        build_error!(VTABLE_DEFAULT_ERROR)
    }

    /// Sets file attributes. `i_rwsem` is held for writing.
    fn fileattr_set(
        _idmap: Idmap<'_>,
        _dentry: &Dentry<Self::FileSystem>,
        _attrs: &mut FileKattr,
    ) -> Result {
        build_error!(VTABLE_DEFAULT_ERROR)
    }

    /// Changes attributes. `i_rwsem` is held for writing.
    fn setattr(
        _idmap: Idmap<'_>,
        _dentry: &Dentry<Self::FileSystem>,
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

/// Where a link's target is put that has to be freed after use (`struct delayed_call`).
pub struct DelayedCall<'a> {
    raw: *mut bindings::delayed_call,
    _life: PhantomData<&'a ()>,
}

/// The target of a link, valid until the delayed call.
pub struct Link<'a> {
    raw: *const c_char,
    _life: PhantomData<&'a ()>,
}

impl Dentry<Layer> {
    /// The target of a symbolic link of a layer (`vfs_get_link()`).
    pub fn get_link<'a>(
        &'a self,
        _as_mounter: &AsMounter,
        done: DelayedCall<'a>,
    ) -> Result<Link<'a>> {
        // SAFETY: The dentry is valid and `done` is the caller's empty delayed call.
        let raw = unsafe { bindings::rvfs_vfs_get_link(self.as_raw(), done.raw) };
        Ok(Link {
            raw: from_err_ptr(raw.cast_mut())?.cast_const(),
            _life: PhantomData,
        })
    }
}

impl Dentry<Layer> {
    /// A copy of the target of a symbolic link of a layer.
    pub fn read_link(&self, as_mounter: &AsMounter) -> Result<CString> {
        let mut done = bindings::delayed_call::default();
        let call = DelayedCall {
            raw: &mut done,
            _life: PhantomData,
        };
        let target = self.get_link(as_mounter, call).and_then(|link| {
            if link.raw.is_null() {
                return Err(EIO);
            }
            // SAFETY: NUL-terminated, and valid until the delayed call.
            Ok(CString::try_from(unsafe { CStr::from_char_ptr(link.raw) })?)
        });
        // SAFETY: Empty, or set by `get_link`; the target is not used any more.
        unsafe { bindings::rvfs_do_delayed_call(&mut done) };
        target
    }
}

/// The table of an implementation of [`Operations`].
pub struct Table<T: Operations>(PhantomData<T>);

/// Turns a result without value into an error pointer that is null on success.
fn to_err_ptr<T>(result: Result) -> *mut T {
    match result {
        Ok(()) => ptr::null_mut(),
        Err(err) => err.to_ptr(),
    }
}

impl<T: Operations> Table<T> {
    /// # Safety
    ///
    /// This and all other callbacks: to be called by the VFS only, with objects of `T::FileSystem`
    /// and under the locks that the VFS documents for the operation.
    unsafe extern "C" fn lookup_callback(
        dir: *mut bindings::inode,
        dentry: *mut bindings::dentry,
        _flags: c_uint,
    ) -> *mut bindings::dentry {
        // SAFETY: By the safety requirements.
        let dir = unsafe { Inode::from_raw(dir) };
        // SAFETY: By the safety requirements; the dentry is in lookup.
        let dentry = unsafe { InLookup::from_raw(dentry) };
        match T::lookup(dir, dentry) {
            Ok(None) => ptr::null_mut(),
            Ok(Some(alias)) => ARef::into_raw(alias).as_ptr().cast(),
            Err(err) => err.to_ptr(),
        }
    }

    /// # Safety
    ///
    /// See [`Self::lookup_callback`].
    unsafe extern "C" fn get_link_callback(
        dentry: *mut bindings::dentry,
        _inode: *mut bindings::inode,
        done: *mut bindings::delayed_call,
    ) -> *const c_char {
        if dentry.is_null() {
            // RCU walk: reading a link of a layer may sleep.
            return ECHILD.to_ptr();
        }
        // SAFETY: By the safety requirements.
        let dentry = unsafe { Dentry::from_raw(dentry) };
        let done = DelayedCall {
            raw: done,
            _life: PhantomData,
        };
        match T::get_link(dentry, done) {
            Ok(link) => link.raw,
            Err(err) => err.to_ptr(),
        }
    }

    /// # Safety
    ///
    /// See [`Self::lookup_callback`].
    unsafe extern "C" fn permission_callback(
        idmap: *mut bindings::mnt_idmap,
        inode: *mut bindings::inode,
        mask: c_int,
    ) -> c_int {
        // SAFETY: By the safety requirements.
        let idmap = unsafe { Idmap::from_raw(idmap) };
        from_result(|| {
            if mask & bindings::rvfs_const_RVFS_MAY_NOT_BLOCK as c_int != 0 {
                // SAFETY: Called within an RCU read-side section, in which the inode is not freed.
                T::permission_rcu(unsafe { RcuInode::from_raw(inode) }, idmap, mask)?;
            } else {
                // SAFETY: By the safety requirements.
                T::permission(unsafe { Inode::from_raw(inode) }, idmap, mask)?;
            }
            Ok(0)
        })
    }

    /// # Safety
    ///
    /// See [`Self::lookup_callback`].
    unsafe extern "C" fn create_callback(
        idmap: *mut bindings::mnt_idmap,
        dir: *mut bindings::inode,
        dentry: *mut bindings::dentry,
        mode: bindings::umode_t,
    ) -> c_int {
        // SAFETY: By the safety requirements.
        let (idmap, dir) = unsafe { (Idmap::from_raw(idmap), Inode::from_raw(dir)) };
        // SAFETY: By the safety requirements; the directory is locked.
        let dentry = unsafe { Stable::from_raw(dentry) };
        from_result(|| T::create(idmap, dir, dentry, mode).map(|()| 0))
    }

    /// # Safety
    ///
    /// See [`Self::lookup_callback`].
    unsafe extern "C" fn link_callback(
        old: *mut bindings::dentry,
        dir: *mut bindings::inode,
        new: *mut bindings::dentry,
    ) -> c_int {
        // SAFETY: By the safety requirements.
        let (old, dir) = unsafe { (Dentry::from_raw(old), Inode::from_raw(dir)) };
        // SAFETY: By the safety requirements; the directory is locked.
        let new = unsafe { Stable::from_raw(new) };
        from_result(|| T::link(old, dir, new).map(|()| 0))
    }

    /// # Safety
    ///
    /// See [`Self::lookup_callback`].
    unsafe extern "C" fn unlink_callback(
        dir: *mut bindings::inode,
        dentry: *mut bindings::dentry,
    ) -> c_int {
        // SAFETY: By the safety requirements.
        let dir = unsafe { Inode::from_raw(dir) };
        // SAFETY: By the safety requirements; the directory is locked.
        let dentry = unsafe { Stable::from_raw(dentry) };
        from_result(|| T::unlink(dir, dentry).map(|()| 0))
    }

    /// # Safety
    ///
    /// See [`Self::lookup_callback`].
    unsafe extern "C" fn symlink_callback(
        idmap: *mut bindings::mnt_idmap,
        dir: *mut bindings::inode,
        dentry: *mut bindings::dentry,
        target: *const c_char,
    ) -> c_int {
        // SAFETY: By the safety requirements.
        let (idmap, dir) = unsafe { (Idmap::from_raw(idmap), Inode::from_raw(dir)) };
        // SAFETY: By the safety requirements; the directory is locked.
        let dentry = unsafe { Stable::from_raw(dentry) };
        // SAFETY: The VFS passes a NUL-terminated string.
        let target = unsafe { CStr::from_char_ptr(target) };
        from_result(|| T::symlink(idmap, dir, dentry, target).map(|()| 0))
    }

    /// # Safety
    ///
    /// See [`Self::lookup_callback`].
    unsafe extern "C" fn mkdir_callback(
        idmap: *mut bindings::mnt_idmap,
        dir: *mut bindings::inode,
        dentry: *mut bindings::dentry,
        mode: bindings::umode_t,
    ) -> *mut bindings::dentry {
        // SAFETY: By the safety requirements.
        let (idmap, dir) = unsafe { (Idmap::from_raw(idmap), Inode::from_raw(dir)) };
        // SAFETY: By the safety requirements; the directory is locked.
        let dentry = unsafe { Stable::from_raw(dentry) };
        to_err_ptr(T::mkdir(idmap, dir, dentry, mode))
    }

    /// # Safety
    ///
    /// See [`Self::lookup_callback`].
    unsafe extern "C" fn rmdir_callback(
        dir: *mut bindings::inode,
        dentry: *mut bindings::dentry,
    ) -> c_int {
        // SAFETY: By the safety requirements.
        let dir = unsafe { Inode::from_raw(dir) };
        // SAFETY: By the safety requirements; the directory is locked.
        let dentry = unsafe { Stable::from_raw(dentry) };
        from_result(|| T::rmdir(dir, dentry).map(|()| 0))
    }

    /// # Safety
    ///
    /// See [`Self::lookup_callback`].
    unsafe extern "C" fn mknod_callback(
        idmap: *mut bindings::mnt_idmap,
        dir: *mut bindings::inode,
        dentry: *mut bindings::dentry,
        mode: bindings::umode_t,
        rdev: bindings::dev_t,
    ) -> c_int {
        // SAFETY: By the safety requirements.
        let (idmap, dir) = unsafe { (Idmap::from_raw(idmap), Inode::from_raw(dir)) };
        // SAFETY: By the safety requirements; the directory is locked.
        let dentry = unsafe { Stable::from_raw(dentry) };
        from_result(|| T::mknod(idmap, dir, dentry, mode, rdev).map(|()| 0))
    }

    /// # Safety
    ///
    /// See [`Self::lookup_callback`].
    unsafe extern "C" fn rename_callback(
        _idmap: *mut bindings::mnt_idmap,
        _old_dir: *mut bindings::inode,
        old: *mut bindings::dentry,
        _new_dir: *mut bindings::inode,
        new: *mut bindings::dentry,
        flags: c_uint,
    ) -> c_int {
        // SAFETY: By the safety requirements; both directories are locked.
        let (old, new) = unsafe { (Stable::from_raw(old), Stable::from_raw(new)) };
        from_result(|| T::rename(old, new, RenameFlags::from_raw(flags)).map(|()| 0))
    }

    /// # Safety
    ///
    /// See [`Self::lookup_callback`].
    unsafe extern "C" fn tmpfile_callback(
        idmap: *mut bindings::mnt_idmap,
        dir: *mut bindings::inode,
        file: *mut bindings::file,
        mode: bindings::umode_t,
    ) -> c_int {
        // SAFETY: By the safety requirements.
        let (idmap, dir) = unsafe { (Idmap::from_raw(idmap), Inode::from_raw(dir)) };
        // SAFETY: The VFS passes a file that is not open, with a new dentry for it.
        let file = unsafe { file::TmpFile::from_raw(file) };
        from_result(|| T::tmpfile(idmap, dir, file, mode).map(|()| 0))
    }

    /// # Safety
    ///
    /// See [`Self::lookup_callback`].
    unsafe extern "C" fn getattr_callback(
        idmap: *mut bindings::mnt_idmap,
        path: *const bindings::path,
        stat: *mut bindings::kstat,
        mask: u32,
        flags: c_uint,
    ) -> c_int {
        // SAFETY: By the safety requirements.
        let (idmap, path) = unsafe { (Idmap::from_raw(idmap), OwnPath::from_raw(path)) };
        // SAFETY: The VFS passes its own `struct kstat`, initialised.
        let stat = unsafe { Kstat::from_raw(stat) };
        from_result(|| T::getattr(idmap, path, stat, StatRequest { mask, flags }).map(|()| 0))
    }

    /// # Safety
    ///
    /// See [`Self::lookup_callback`].
    unsafe extern "C" fn update_time_callback(
        inode: *mut bindings::inode,
        kind: bindings::fs_update_time,
        flags: c_uint,
    ) -> c_int {
        if kind != bindings::fs_update_time_FS_UPD_ATIME {
            return 0;
        }
        // SAFETY: By the safety requirements.
        let inode = unsafe { Inode::from_raw(inode) };
        let nowait = flags & bindings::rvfs_const_RVFS_IOCB_NOWAIT != 0;
        from_result(|| T::update_atime(inode, nowait).map(|()| 0))
    }

    const OPS: bindings::inode_operations = bindings::inode_operations {
        lookup: if T::HAS_LOOKUP {
            Some(Self::lookup_callback)
        } else {
            None
        },
        get_link: if T::HAS_GET_LINK {
            Some(Self::get_link_callback)
        } else {
            None
        },
        permission: if T::HAS_PERMISSION {
            Some(Self::permission_callback)
        } else {
            None
        },
        create: if T::HAS_CREATE {
            Some(Self::create_callback)
        } else {
            None
        },
        link: if T::HAS_LINK {
            Some(Self::link_callback)
        } else {
            None
        },
        unlink: if T::HAS_UNLINK {
            Some(Self::unlink_callback)
        } else {
            None
        },
        symlink: if T::HAS_SYMLINK {
            Some(Self::symlink_callback)
        } else {
            None
        },
        mkdir: if T::HAS_MKDIR {
            Some(Self::mkdir_callback)
        } else {
            None
        },
        rmdir: if T::HAS_RMDIR {
            Some(Self::rmdir_callback)
        } else {
            None
        },
        mknod: if T::HAS_MKNOD {
            Some(Self::mknod_callback)
        } else {
            None
        },
        rename: if T::HAS_RENAME {
            Some(Self::rename_callback)
        } else {
            None
        },
        tmpfile: if T::HAS_TMPFILE {
            Some(Self::tmpfile_callback)
        } else {
            None
        },
        getattr: if T::HAS_GETATTR {
            Some(Self::getattr_callback)
        } else {
            None
        },
        listxattr: if T::HAS_LISTXATTR {
            Some(Self::listxattr_callback)
        } else {
            None
        },
        get_inode_acl: if T::HAS_GET_INODE_ACL {
            Some(Self::get_inode_acl_callback)
        } else {
            None
        },
        get_acl: if T::HAS_GET_ACL {
            Some(Self::get_acl_callback)
        } else {
            None
        },
        set_acl: if T::HAS_SET_ACL {
            Some(Self::set_acl_callback)
        } else {
            None
        },
        fileattr_get: if T::HAS_FILEATTR_GET {
            Some(Self::fileattr_get_callback)
        } else {
            None
        },
        fileattr_set: if T::HAS_FILEATTR_SET {
            Some(Self::fileattr_set_callback)
        } else {
            None
        },
        setattr: if T::HAS_SETATTR {
            Some(Self::setattr_callback)
        } else {
            None
        },
        update_time: if T::HAS_UPDATE_ATIME {
            Some(Self::update_time_callback)
        } else {
            None
        },
        fiemap: if T::HAS_FIEMAP {
            Some(Self::fiemap_callback)
        } else {
            None
        },
        ..pin_init::zeroed()
    };

    /// The table as C wants it.
    pub(crate) const TABLE: &'static bindings::inode_operations = &Self::OPS;
}
