// SPDX-License-Identifier: GPL-2.0

//! Copying attributes.

use super::{
    CopyUp,
    Origin, //
};
use crate::{
    fileattr,
    origin,
    upper::Upper, //
};
use kernel::prelude::*;
use vfs::{
    copy,
    dentry::Dentry,
    iattr::Iattr,
    Layer, //
};

impl CopyUp<'_> {
    /// Gives `temp`, the copy, everything but its data and its name.
    pub(super) fn copy_metadata(
        &self,
        upper: &Upper<'_>,
        temp: &Dentry<Layer>,
        origin: &Origin,
    ) -> Result {
        self.copy_xattrs(upper, temp)?;
        if self.stat.is_reg() || self.stat.is_dir() {
            fileattr::copy(upper, self.inode, self.lower, temp)?;
        }
        if let Origin::Store(handle) = origin {
            origin::set(self.m, self.ofs, upper.write, temp, handle.as_ref())?;
        }
        self.copy_attributes(upper, temp)?;
        if self.ofs.config.should_sync() && self.syncs_metadata() {
            let file = upper.path(temp).open(self.m, false)?;
            copy::sync(self.m, &file)?;
        }
        Ok(())
    }

    /// Copies size, mode, owner and times.
    fn copy_attributes(&self, upper: &Upper<'_>, temp: &Dentry<Layer>) -> Result {
        let lock = temp.inode().ok_or(EIO)?.lock();
        let set = |attr: &Iattr| upper.write.notify_change(self.m, &lock, temp, attr);
        if self.stat.is_reg() {
            set(&Iattr::size(self.stat.size()))?;
        }
        if !self.stat.is_symlink() {
            set(&Iattr::mode(self.stat.mode()))?;
        }
        set(&Iattr::owner(&self.stat))?;
        // Times are worth less than the copy.
        let _ = set(&Iattr::times(&self.stat));
        Ok(())
    }
}
