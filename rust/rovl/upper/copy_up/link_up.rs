// SPDX-License-Identifier: GPL-2.0

//! One more name for what has been copied up under another one.

use crate::{
    object::reason,
    upper::{
        copy_up::{
            CopyUp,
            Parent, //
        },
        Upper, //
    }, //
};
use kernel::prelude::*;
use ondisk::nlink::Base;
use stacking::{
    mount::WriteAccess,
    prelude::*, //
};

impl CopyUp<'_> {
    /// Makes this name, too, a name of the upper inode, which has been copied up under another one.
    pub(crate) fn link_up(
        &self,
        access: &WriteAccess<'_>,
        parent: &Parent<'_>,
        name: &[u8],
    ) -> Result {
        let old = self.inode.upper().ok_or(reason::NOT_IN_UPPER)?;
        self.mark_parent(access, parent)?;
        let made = {
            let write = access.start_write();
            let upper = Upper {
                ofs: self.ofs,
                m: self.m,
                write: &write,
            };
            // The union does not change, but the number of upper links does.
            upper.store_nlink(self.inode, Base::Lower)?;
            let linked = upper.start_creating(parent.dir, name)?.link(old)?;
            self.ofs.keep_upper(linked.keep())?
        };
        self.settle(access, parent, &made);
        let write = access.start_write();
        let upper = Upper {
            ofs: self.ofs,
            m: self.m,
            write: &write,
        };
        upper.store_nlink(self.inode, Base::Upper)
    }
}
