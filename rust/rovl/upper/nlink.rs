// SPDX-License-Identifier: GPL-2.0

//! Storing the number of links of an indexed file, see [`crate::object::links`].
//!
//! Before a copy up it is told relative to the lower inode, because that changes the upper one only.
//! Before an overlay name comes or goes it is told relative to the upper inode, which changes with
//! it. So it is right whether the change happens or not, and after a crash. A lower name is copied up
//! before it is covered, which makes it an upper one.

use crate::{
    object::{
        entry::InodeExt,
        reason, //
    },
    upper::Upper,
    Rovl, //
};
use kernel::prelude::*;
use ondisk::{
    nlink::{
        Base,
        Nlink, //
    },
    xattr::Name, //
};
use stacking::prelude::*;
use vfs::{
    dentry::Dentry,
    inode::Inode,
    Foreign, //
};

impl Upper<'_> {
    /// Stores the number of links of `inode`, which is in the upper layer, relative to that of one of
    /// its real inodes. The caller holds the inode's mutex.
    pub(crate) fn store_nlink(&self, inode: &Inode<Rovl>, base: Base) -> Result {
        self.store_nlink_in(inode.upper().ok_or(reason::NOT_IN_UPPER)?, inode, base)
    }

    /// The same with `upper`, which may not be that of `inode` yet.
    pub(crate) fn store_nlink_in(
        &self,
        upper: &Dentry<Foreign>,
        inode: &Inode<Rovl>,
        base: Base,
    ) -> Result {
        let real = match base {
            Base::Upper => upper.inode(),
            Base::Lower => inode.lower_inode(),
        };
        let nlink = Nlink::new(
            base,
            inode.nlink(),
            real.ok_or(reason::NEGATIVE_IN_LAYER)?.nlink(),
        );
        self.set_xattr(upper, Name::Nlink, &nlink.encode())
    }
}
