// SPDX-License-Identifier: GPL-2.0

//! The callbacks that C calls, and the table of them.

mod attrs;

use super::{
    DelayedCall,
    Inode,
    Locked,
    Operations,
    RcuInode, //
};
use crate::{
    bindings,
    dentry::{
        Child,
        Dentry,
        LockedDentry,
        Negative,
        Positive, //
    },
    errno::{
        from_result,
        WithReason, //
    },
    file,
    layers::Layers,
    mount::Idmap,
    namei::{
        InLookup,
        RenameFlags, //
    },
    path::PathRef,
    stat::{
        Kstat,
        StatRequest, //
    },
    FileSystem, //
};
use core::{
    marker::PhantomData,
    ptr, //
};
use kernel::{
    prelude::*,
    str::CStr, //
};

/// The table of an implementation of [`Operations`].
pub struct Table<T: Operations>(PhantomData<T>);

/// A dentry with its inode.
///
/// # Safety
///
/// `dentry` must be valid for `'a`, of `F`, and positive; `i_rwsem` of its inode must be held by this
/// task for writing for `'a`, as for [`Locked::new`].
unsafe fn locked_dentry<'a, F>(dentry: *mut bindings::dentry) -> LockedDentry<'a, F> {
    // SAFETY: By the safety requirements.
    let inode = unsafe { Locked::of_dentry(dentry) };
    // SAFETY: As above.
    let dentry = unsafe { Dentry::from_raw(dentry) };
    // SAFETY: The inode is that of the dentry.
    unsafe { LockedDentry::new(dentry, inode) }
}

/// Turns a result without value into an error pointer that is null on success.
fn to_err_ptr<T>(result: Result) -> *mut T {
    match result {
        Ok(()) => ptr::null_mut(),
        Err(err) => err.class().to_ptr(),
    }
}

/// A name at which an operation makes an object.
struct Made<'a, F>(&'a Dentry<F>);

impl<F> Made<'_, F> {
    /// Returns `EIO` where there is none though the operation has succeeded: the VFS, and whoever called
    /// it, use its inode.
    fn check(&self) -> Result {
        self.0.inode().map(|_| ()).ok_or(EIO)
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
            Ok(spliced) => spliced.into_raw(),
            Err(err) => err.class().to_ptr(),
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
            Err(err) => err.class().to_ptr(),
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
        // See `version`.
        #[cfg(rovl_before_7_3)] _excl: bool,
    ) -> c_int {
        // SAFETY: By the safety requirements.
        let idmap = unsafe { Idmap::from_raw(idmap) };
        // SAFETY: By the safety requirements; the directory is locked, and the dentry negative.
        let (dir, dentry) = unsafe { (Locked::from_raw(dir), Negative::from_raw(dentry)) };
        let made = Made(dentry.dentry());
        from_result(|| {
            T::create(idmap, &dir, dentry, mode)
                .and_then(|()| made.check())
                .map(|()| 0)
        })
    }

    /// # Safety
    ///
    /// See [`Self::lookup_callback`].
    unsafe extern "C" fn link_callback(
        old: *mut bindings::dentry,
        dir: *mut bindings::inode,
        new: *mut bindings::dentry,
    ) -> c_int {
        // SAFETY: By the safety requirements; the old dentry is positive, and its inode is locked.
        let old = unsafe { locked_dentry(old) };
        // SAFETY: By the safety requirements; the directory is locked, and the new dentry negative.
        let (dir, new) = unsafe { (Locked::from_raw(dir), Negative::from_raw(new)) };
        let made = Made(new.dentry());
        from_result(|| {
            T::link(&old, &dir, new)
                .and_then(|()| made.check())
                .map(|()| 0)
        })
    }

    /// # Safety
    ///
    /// See [`Self::lookup_callback`].
    unsafe extern "C" fn unlink_callback(
        dir: *mut bindings::inode,
        dentry: *mut bindings::dentry,
    ) -> c_int {
        // SAFETY: By the safety requirements; the directory is locked.
        let (dir, child) = unsafe { (Locked::from_raw(dir), Child::from_raw(dentry)) };
        // SAFETY: As above; what is removed is positive, and its inode is locked.
        let dentry = unsafe { Positive::new(child, Locked::of_dentry(dentry)) };
        from_result(|| T::unlink(&dir, &dentry).map(|()| 0))
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
        let idmap = unsafe { Idmap::from_raw(idmap) };
        // SAFETY: By the safety requirements; the directory is locked, and the dentry negative.
        let (dir, dentry) = unsafe { (Locked::from_raw(dir), Negative::from_raw(dentry)) };
        let made = Made(dentry.dentry());
        // SAFETY: The VFS passes a NUL-terminated string.
        let target = unsafe { CStr::from_char_ptr(target) };
        from_result(|| {
            T::symlink(idmap, &dir, dentry, target)
                .and_then(|()| made.check())
                .map(|()| 0)
        })
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
        let idmap = unsafe { Idmap::from_raw(idmap) };
        // SAFETY: By the safety requirements; the directory is locked, and the dentry negative.
        let (dir, dentry) = unsafe { (Locked::from_raw(dir), Negative::from_raw(dentry)) };
        let made = Made(dentry.dentry());
        to_err_ptr(T::mkdir(idmap, &dir, dentry, mode).and_then(|()| made.check()))
    }

    /// # Safety
    ///
    /// See [`Self::lookup_callback`].
    unsafe extern "C" fn rmdir_callback(
        dir: *mut bindings::inode,
        dentry: *mut bindings::dentry,
    ) -> c_int {
        // SAFETY: By the safety requirements; the directory is locked.
        let (dir, child) = unsafe { (Locked::from_raw(dir), Child::from_raw(dentry)) };
        // SAFETY: As above; what is removed is positive, and its inode is locked.
        let dentry = unsafe { Positive::new(child, Locked::of_dentry(dentry)) };
        from_result(|| T::rmdir(&dir, &dentry).map(|()| 0))
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
        let idmap = unsafe { Idmap::from_raw(idmap) };
        // SAFETY: By the safety requirements; the directory is locked, and the dentry negative.
        let (dir, dentry) = unsafe { (Locked::from_raw(dir), Negative::from_raw(dentry)) };
        let made = Made(dentry.dentry());
        from_result(|| {
            T::mknod(idmap, &dir, dentry, mode, rdev)
                .and_then(|()| made.check())
                .map(|()| 0)
        })
    }

    /// # Safety
    ///
    /// See [`Self::lookup_callback`].
    unsafe extern "C" fn rename_callback(
        _idmap: *mut bindings::mnt_idmap,
        old_dir: *mut bindings::inode,
        old: *mut bindings::dentry,
        new_dir: *mut bindings::inode,
        new: *mut bindings::dentry,
        flags: c_uint,
    ) -> c_int {
        // SAFETY: By the safety requirements; both directories are locked.
        let (old, new) = unsafe { (Child::from_raw(old), Child::from_raw(new)) };
        // SAFETY: As above.
        let old_dir_lock = unsafe { Locked::from_raw(old_dir) };
        // Both may be one.
        let other_dir = (!ptr::eq(old_dir, new_dir)).then(|| {
            // SAFETY: As above.
            unsafe { Locked::from_raw(new_dir) }
        });
        let new_dir = other_dir.as_ref().unwrap_or(&old_dir_lock);
        let is_replaced = flags & bindings::RENAME_EXCHANGE == 0 && new.inode().is_some();
        // SAFETY: As above; the inode of a positive dentry that is replaced is locked, and neither
        // directory is it.
        let replaced = is_replaced.then(|| unsafe { Locked::of_dentry(new.as_raw()) });
        let flags = RenameFlags::from_raw(flags);
        from_result(|| {
            T::rename(&old_dir_lock, old, new_dir, new, replaced.as_ref(), flags).map(|()| 0)
        })
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
        let new = unsafe { file::TmpFile::from_raw(file) };
        from_result(|| {
            T::tmpfile(idmap, dir, new, mode)?;
            // SAFETY: By the safety requirements.
            if unsafe { (*file).f_mode } & bindings::rvfs_const_RVFS_FMODE_OPENED == 0 {
                // The VFS uses a file without an error as an open one.
                return Err(EIO);
            }
            Ok(0)
        })
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
        let (idmap, path) = unsafe { (Idmap::from_raw(idmap), PathRef::from_raw(path)) };
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
            if <T::FileSystem as FileSystem>::Layers::STACKING {
                // The other times are those of the layer, which sets them itself.
                return 0;
            }
            // SAFETY: By the safety requirements.
            return unsafe { bindings::generic_update_time(inode, kind, flags) };
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

    /// The table of directories.
    pub(crate) const DIRECTORIES: &'static bindings::inode_operations =
        &bindings::inode_operations {
            get_link: None,
            fiemap: None,
            ..Self::OPS
        };

    /// What has no names in it.
    const LEAF: bindings::inode_operations = bindings::inode_operations {
        lookup: None,
        create: None,
        link: None,
        unlink: None,
        symlink: None,
        mkdir: None,
        rmdir: None,
        mknod: None,
        rename: None,
        tmpfile: None,
        ..Self::OPS
    };

    /// The table of regular files.
    pub(crate) const FILES: &'static bindings::inode_operations = &bindings::inode_operations {
        get_link: None,
        ..Self::LEAF
    };

    /// The table of symbolic links.
    pub(crate) const SYMLINKS: &'static bindings::inode_operations = &bindings::inode_operations {
        permission: None,
        get_inode_acl: None,
        get_acl: None,
        set_acl: None,
        fileattr_get: None,
        fileattr_set: None,
        fiemap: None,
        ..Self::LEAF
    };

    /// The table of devices, fifos and sockets.
    pub(crate) const SPECIAL: &'static bindings::inode_operations = &bindings::inode_operations {
        get_link: None,
        fileattr_get: None,
        fileattr_set: None,
        fiemap: None,
        ..Self::LEAF
    };
}
