// SPDX-License-Identifier: GPL-2.0

//! One more name for what has been copied up under another one.

use super::CopyUp;
use crate::upper::Upper;
use kernel::prelude::*;
use ondisk::{
    nlink::{
        Base,
        Nlink, //
    },
    xattr::Name, //
};
use vfs::{
    dentry::Dentry,
    mount::WriteAccess,
    Layer, //
};

impl CopyUp<'_> {
    /// Makes this name, too, a name of the upper inode, which has been copied up under another one.
    pub(super) fn link_up(&self, access: &WriteAccess<'_>, name: &[u8]) -> Result {
        let old = self.inode.upper().ok_or(EIO)?;
        self.mark_parent(access)?;
        let made = {
            let write = access.start_write();
            let upper = Upper {
                ofs: self.ofs,
                m: self.m,
                write: &write,
            };
            let lower = self.lower.dentry.inode().ok_or(EIO)?;
            self.store_nlink(&upper, old, Base::Lower, lower.nlink())?;
            let linked = upper.start_creating(self.dir, name)?.link(old)?;
            linked.keep()
        };
        self.settle(access, &made);
        let write = access.start_write();
        let upper = Upper {
            ofs: self.ofs,
            m: self.m,
            write: &write,
        };
        let links = old.inode().ok_or(EIO)?.nlink();
        self.store_nlink(&upper, old, Base::Upper, links)
    }

    /// Stores the number of links of the union relative to that of one of its inodes, so that it is
    /// known after a crash between a change of the one and of the other.
    fn store_nlink(
        &self,
        upper: &Upper<'_>,
        dentry: &Dentry<Layer>,
        base: Base,
        real: u32,
    ) -> Result {
        let nlink = Nlink::new(base, self.inode.nlink(), real);
        upper.set_xattr(dentry, Name::Nlink, &nlink.encode())
    }
}
