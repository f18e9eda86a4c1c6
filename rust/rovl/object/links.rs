// SPDX-License-Identifier: GPL-2.0

//! The number of links of an indexed file: those of the upper inode, without that in the index, and
//! those lower names that are not covered.
//!
//! It is stored with the upper inode, as the difference to the number of links of that inode or of
//! the lower one.

use crate::object::{
    log,
    reason,
    super_data::Super, //
};
use kernel::prelude::*;
use ondisk::{
    nlink::{
        self,
        Base,
        Nlink, //
    },
    xattr::Name, //
};
use stacking::cred::AsMounter;
use vfs::{
    dentry::Dentry,
    Foreign, //
};

/// An upper object and its origin.
pub(crate) struct Links<'a> {
    pub(crate) lower: &'a Dentry<Foreign>,
    pub(crate) upper: &'a Dentry<Foreign>,
}

impl Links<'_> {
    /// The number of links of the union, or `fallback` where it is not known, or not stored.
    ///
    /// A lower file with one name only is not indexed, but for NFS export: what was found in the
    /// index (`indexed`) has the number, whatever the lower one is now.
    pub(crate) fn of_union(&self, m: &AsMounter, ofs: &Super, indexed: bool, fallback: u32) -> u32 {
        if !indexed && self.lower.inode().is_some_and(|lower| lower.nlink() == 1) {
            return fallback;
        }
        match self.read(m, ofs) {
            Ok(nlink) => nlink,
            Err(err) => {
                log::warn_dentry(c"failed to get index nlink", self.upper, err);
                fallback
            }
        }
    }

    fn read(&self, m: &AsMounter, ofs: &Super) -> Result<u32> {
        let mut value = [0; nlink::MAX_LEN];
        let path = ofs.upper_path(self.upper)?;
        let len = ofs.get_xattr(m, path, Name::Nlink, &mut value)?;
        let stored = Nlink::parse(value.get(..len).unwrap_or_default());
        let stored = stored.map_err(crate::object::fault::to_error)?;
        let base = match stored.base {
            Base::Upper => self.upper,
            Base::Lower => self.lower,
        };
        stored
            .apply(base.inode().ok_or(reason::NEGATIVE_IN_LAYER)?.nlink())
            .ok_or(reason::LINK_COUNT)
    }
}
