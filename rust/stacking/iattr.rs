// SPDX-License-Identifier: GPL-2.0

//! Changing attributes of objects of layers.
//!
//! C header: [`include/linux/fs.h`](srctree/include/linux/fs.h)

use crate::{
    cred::AsMounter,
    mount::WriteGuard, //
};
use core::ptr;
use kernel::prelude::*;
use vfs::{
    bindings,
    dentry::Dentry,
    errno::to_result,
    iattr::Iattr,
    inode::{
        Inode,
        Locked, //
    },
    stat::Kstat,
    Foreign, //
};

impl WriteGuard<'_> {
    /// Whether `inode`, of this mount's file system, has the owner and the group of `stat` as the mount
    /// shows them. Of an id-mapped mount it is not known.
    pub fn shows_owner(&self, inode: &Inode<Foreign>, stat: &Kstat) -> bool {
        let stat = stat.as_raw();
        // SAFETY: Valid by the type invariant; racy reads of integers, as in C.
        let (uid, gid) = unsafe { ((*inode.as_raw()).i_uid, (*inode.as_raw()).i_gid) };
        !self.mount().is_idmapped() && uid.val == stat.uid.val && gid.val == stat.gid.val
    }

    /// Sets attributes of an object of a layer (`notify_change()`), whose inode is locked. On
    /// the way `attr` is completed.
    ///
    /// Returns `EINVAL` if `lock` is not that of the inode, or for the size of what is no regular file,
    /// `ENOENT` of a negative dentry, and `EWOULDBLOCK` while somebody holds a lease on the file.
    #[inline]
    pub fn notify_change(
        &self,
        as_mounter: &AsMounter,
        lock: &Locked<'_, Foreign>,
        dentry: &Dentry<Foreign>,
        attr: &mut Iattr,
    ) -> Result {
        as_mounter.check()?;
        self.check(dentry)?;
        let inode = dentry.inode().ok_or(ENOENT)?;
        if !lock.inode().is(inode) {
            return Err(EINVAL);
        }
        // System calls look that only a regular file is truncated, and file systems rely on that.
        if attr.sets_size() && !inode.is_reg() {
            return Err(EINVAL);
        }
        attr.complete_for(inode.mode());
        // SAFETY: The dentry is valid and of this mount's file system; its inode is locked; the
        // attributes are borrowed exclusively, and the file in them is not used.
        to_result(unsafe {
            bindings::notify_change(
                self.mount().idmap().as_raw(),
                dentry.as_raw(),
                attr.as_raw_mut(),
                ptr::null_mut(),
            )
        })
    }
}
