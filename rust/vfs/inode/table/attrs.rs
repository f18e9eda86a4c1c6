// SPDX-License-Identifier: GPL-2.0

//! Callbacks for attributes, extended ones, access control lists and file attributes.

use super::{
    locked_dentry,
    Operations,
    Table, //
};
use crate::{
    bindings,
    dentry::Dentry,
    errno::{
        from_result,
        WithReason, //
    },
    fileattr::FileKattr,
    iattr::Setattr,
    inode::{
        Inode,
        RcuInode, //
    },
    mount::Idmap,
    posix_acl::{
        AclKind,
        PosixAcl, //
    },
    xattr, //
};
use core::mem::ManuallyDrop;
use kernel::prelude::*;

impl<T: Operations> Table<T> {
    /// # Safety
    ///
    /// This and all other callbacks: see [`Self::lookup_callback`].
    pub(super) unsafe extern "C" fn listxattr_callback(
        dentry: *mut bindings::dentry,
        list: *mut c_char,
        size: usize,
    ) -> isize {
        // SAFETY: By the safety requirements.
        let dentry = unsafe { Dentry::from_raw(dentry) };
        // SAFETY: The VFS passes null, or a buffer of that size.
        unsafe { xattr::list_into(list, size, |list| T::listxattr(dentry, list)) }
    }

    /// # Safety
    ///
    /// See [`Self::listxattr_callback`].
    pub(super) unsafe extern "C" fn get_inode_acl_callback(
        inode: *mut bindings::inode,
        kind: c_int,
        rcu: bool,
    ) -> *mut bindings::posix_acl {
        let kind = match AclKind::from_raw(kind) {
            Ok(kind) => kind,
            Err(err) => return err.class().to_ptr(),
        };
        if rcu {
            // SAFETY: Called within an RCU read-side section, in which the inode is not freed.
            let inode = unsafe { RcuInode::from_raw(inode) };
            return match T::get_inode_acl_rcu(inode, kind) {
                Ok(acl) => acl.as_raw(),
                Err(err) => err.class().to_ptr(),
            };
        }
        // SAFETY: By the safety requirements.
        PosixAcl::into_result(T::get_inode_acl(unsafe { Inode::from_raw(inode) }, kind))
    }

    /// # Safety
    ///
    /// See [`Self::listxattr_callback`].
    pub(super) unsafe extern "C" fn get_acl_callback(
        _idmap: *mut bindings::mnt_idmap,
        dentry: *mut bindings::dentry,
        kind: c_int,
    ) -> *mut bindings::posix_acl {
        // SAFETY: By the safety requirements.
        let dentry = unsafe { Dentry::from_raw(dentry) };
        PosixAcl::into_result(AclKind::from_raw(kind).and_then(|kind| T::get_acl(dentry, kind)))
    }

    /// # Safety
    ///
    /// See [`Self::listxattr_callback`].
    pub(super) unsafe extern "C" fn set_acl_callback(
        idmap: *mut bindings::mnt_idmap,
        dentry: *mut bindings::dentry,
        acl: *mut bindings::posix_acl,
        kind: c_int,
    ) -> c_int {
        // SAFETY: By the safety requirements; the dentry is positive, and its inode is locked.
        let (idmap, dentry) = unsafe { (Idmap::from_raw(idmap), locked_dentry(dentry)) };
        // SAFETY: The VFS passes null, or a list on which it has a reference.
        let acl = ManuallyDrop::new(unsafe { PosixAcl::from_raw_owned(acl) });
        from_result(|| {
            T::set_acl(idmap, &dentry, acl.as_ref(), AclKind::from_raw(kind)?)?;
            Ok(0)
        })
    }

    /// # Safety
    ///
    /// See [`Self::listxattr_callback`].
    pub(super) unsafe extern "C" fn fileattr_get_callback(
        dentry: *mut bindings::dentry,
        attrs: *mut kernel::bindings::file_kattr,
    ) -> c_int {
        // SAFETY: By the safety requirements.
        let dentry = unsafe { Dentry::from_raw(dentry) };
        // SAFETY: The VFS passes its own structure, initialised.
        let attrs = unsafe { FileKattr::from_raw(attrs.cast()) };
        from_result(|| T::fileattr_get(dentry, attrs).map(|()| 0))
    }

    /// # Safety
    ///
    /// See [`Self::listxattr_callback`].
    pub(super) unsafe extern "C" fn fileattr_set_callback(
        idmap: *mut bindings::mnt_idmap,
        dentry: *mut bindings::dentry,
        attrs: *mut kernel::bindings::file_kattr,
    ) -> c_int {
        // SAFETY: By the safety requirements; the dentry is positive, and its inode is locked.
        let (idmap, dentry) = unsafe { (Idmap::from_raw(idmap), locked_dentry(dentry)) };
        // SAFETY: The VFS passes its own structure, initialised.
        let attrs = unsafe { FileKattr::from_raw(attrs.cast()) };
        from_result(|| T::fileattr_set(idmap, &dentry, attrs).map(|()| 0))
    }

    /// # Safety
    ///
    /// See [`Self::listxattr_callback`].
    pub(super) unsafe extern "C" fn setattr_callback(
        idmap: *mut bindings::mnt_idmap,
        dentry: *mut bindings::dentry,
        attr: *mut bindings::iattr,
    ) -> c_int {
        // SAFETY: By the safety requirements; the dentry is positive, and its inode is locked.
        let (idmap, dentry) = unsafe { (Idmap::from_raw(idmap), locked_dentry(dentry)) };
        // SAFETY: The VFS passes its own attributes.
        let change = unsafe { Setattr::from_raw(attr) };
        from_result(|| T::setattr(idmap, &dentry, change).map(|()| 0))
    }
}
