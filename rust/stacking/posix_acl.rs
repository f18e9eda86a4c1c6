// SPDX-License-Identifier: GPL-2.0

//! POSIX access control lists of objects of layers.
//!
//! C header: [`include/linux/posix_acl.h`](srctree/include/linux/posix_acl.h)

use crate::{
    cred::AsMounter,
    mount::WriteGuard,
    path::LayerPath,
    rcu::RcuReal, //
};
use kernel::{
    error::from_err_ptr,
    prelude::*, //
};
use vfs::{
    bindings,
    dentry::Dentry,
    errno::to_result,
    inode::Inode,
    posix_acl::{
        AclKind,
        PosixAcl,
        RcuAcl, //
    },
    Foreign, //
};

impl LayerPath<'_> {
    /// Reads an access control list of a layer's object, for the mounter (`vfs_get_acl()`), with
    /// its ids seen through the layer's mount.
    ///
    /// Returns `ENODATA` where there is none and `EOPNOTSUPP` where there can be none.
    pub fn get_acl(&self, _as_mounter: &AsMounter, kind: AclKind) -> Result<PosixAcl> {
        let inode = self.dentry.inode().ok_or(ENOENT)?;
        // SAFETY: Mount and dentry are valid, the latter positive, and the name NUL-terminated.
        let acl = from_err_ptr(unsafe {
            bindings::rvfs_vfs_get_acl(
                self.mount.idmap().as_raw(),
                self.dentry.as_raw(),
                kind.xattr_name().as_char_ptr(),
            )
        })?;
        // SAFETY: `vfs_get_acl()` returns a new reference.
        let acl = unsafe { PosixAcl::from_raw_owned(acl) }.ok_or(ENODATA)?;
        self.map_acl(inode, acl)
    }

    /// Reads an access control list of a layer's object for a check of permissions, which security
    /// modules are not asked for (`get_inode_acl()`). Ids are as for [`get_acl`](Self::get_acl).
    ///
    /// Returns `None` where there is none.
    pub fn get_inode_acl(
        &self,
        _as_mounter: &AsMounter,
        kind: AclKind,
    ) -> Result<Option<PosixAcl>> {
        let inode = self.dentry.inode().ok_or(ENOENT)?;
        // SAFETY: The inode is valid.
        let acl = unsafe { bindings::rvfs_get_inode_acl(inode.as_raw(), kind.as_raw()) };
        let acl = from_err_ptr(acl)?;
        // SAFETY: `get_inode_acl()` returns null or a new reference.
        let acl = unsafe { PosixAcl::from_raw_owned(acl) };
        acl.map(|acl| self.map_acl(inode, acl)).transpose()
    }

    /// Shows the ids in `acl`, a list of `inode`, through the layer's mount.
    fn map_acl(&self, inode: &Inode<Foreign>, acl: PosixAcl) -> Result<PosixAcl> {
        if !self.mount.is_idmapped() {
            return Ok(acl);
        }
        // The file system caches the list, so only a copy may be changed.
        let mapped = acl.try_clone()?;
        // SAFETY: All are valid, and nobody else has the copy.
        unsafe {
            bindings::rvfs_posix_acl_map(
                mapped.as_raw(),
                inode.as_raw(),
                self.mount.idmap().as_raw(),
            )
        };
        Ok(mapped)
    }
}

impl WriteGuard<'_> {
    /// Sets an access control list of a layer's object, whose inode is not locked
    /// (`vfs_set_acl()`). Ids in it are as this mount shows them.
    pub fn set_acl(
        &self,
        as_mounter: &AsMounter,
        dentry: &Dentry<Foreign>,
        kind: AclKind,
        acl: &PosixAcl,
    ) -> Result {
        as_mounter.check()?;
        self.check(dentry)?;
        dentry.inode().ok_or(ENOENT)?;
        // The function maps the ids in place.
        let acl = acl.try_clone()?;
        // SAFETY: The dentry is valid and positive, the list ours alone.
        to_result(unsafe {
            bindings::rvfs_vfs_set_acl(
                self.mount().idmap().as_raw(),
                dentry.as_raw(),
                kind.xattr_name().as_char_ptr(),
                acl.as_raw(),
            )
        })
    }

    /// Removes an access control list of a layer's object, whose inode is not locked
    /// (`vfs_remove_acl()`).
    pub fn remove_acl(
        &self,
        as_mounter: &AsMounter,
        dentry: &Dentry<Foreign>,
        kind: AclKind,
    ) -> Result {
        as_mounter.check()?;
        self.check(dentry)?;
        dentry.inode().ok_or(ENOENT)?;
        // SAFETY: The dentry is valid and positive.
        to_result(unsafe {
            bindings::rvfs_vfs_remove_acl(
                self.mount().idmap().as_raw(),
                dentry.as_raw(),
                kind.xattr_name().as_char_ptr(),
            )
        })
    }
}

impl<'a> RcuReal<'a> {
    /// The cached list of an inode of a layer (`get_cached_acl_rcu()`).
    #[inline]
    pub fn cached_acl(&self, kind: AclKind) -> RcuAcl<'a> {
        // SAFETY: The inode is not freed by its type invariant.
        let acl = unsafe { bindings::rvfs_get_cached_acl_rcu(self.as_raw(), kind.as_raw()) };
        // SAFETY: Neither is a list that it has now: both wait for a grace period.
        unsafe { RcuAcl::from_raw(acl) }
    }
}
