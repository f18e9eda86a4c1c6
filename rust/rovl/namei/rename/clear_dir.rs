// SPDX-License-Identifier: GPL-2.0

//! Replacing a merged directory that shows nothing by one that is empty.

use crate::{
    listing::names::Names,
    object::{
        entry::DentryExt,
        reason, //
    },
    upper::{
        cleanup::cleanup_whiteouts,
        copy_up,
        Make,
        Upper, //
    },
    Rovl, //
};
use kernel::prelude::*;
use vfs::{
    dentry::{
        Child,
        Dentry, //
    },
    namei::RenameFlag,
    stat::StatRequest,
    Foreign,
    Ref, //
};

impl<'a> Upper<'a> {
    /// Replaces the upper directory of `dentry`, in which nothing is but `whiteouts`, by an opaque
    /// one that is empty and otherwise the same.
    ///
    /// Returns the new one. `dentry` does not know of it, and is unhashed.
    pub(crate) fn clear_dir(
        &self,
        dentry: Child<'_, Rovl>,
        whiteouts: &Names,
    ) -> Result<Ref<'a, Dentry<Foreign>>> {
        let work = self.work()?;
        let dir = dentry.dir().upper().ok_or(reason::NOT_IN_UPPER)?;
        let upper = dentry.upper().ok_or(reason::NOT_IN_UPPER_ANY_MORE)?;
        let path = self.path(upper)?;
        let stat = path.getattr(self.m, StatRequest::BASIC)?;
        if !stat.is_dir() {
            return Err(reason::UPPER_CHANGED);
        }
        let temp = self.create_temp(Make::Dir(stat.mode()))?;
        let renaming = temp.start_moving_to(dir, upper, RenameFlag::Exchange.into())?;
        let new = temp.dentry()?;
        copy_up::copy_xattrs(self, path, new)?;
        self.set_opaque(&dentry, new, reason::CANNOT_STORE_OPAQUE)?;
        copy_up::set_attributes(self, new, &stat)?;
        renaming.rename()?;
        let new = temp.moved()?;

        cleanup_whiteouts(self.m, self.write, upper, whiteouts);
        self.cleanup(work, upper);
        dentry.drop_from_hash();
        Ok(new)
    }
}
