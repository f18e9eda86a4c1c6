// SPDX-License-Identifier: GPL-2.0

//! Objects in the making.

use crate::{
    object::reason,
    upper::Upper, //
};
use kernel::prelude::*;
use stacking::namei::{
    Renaming,
    Target, //
};
use vfs::{
    dentry::Dentry,
    namei::RenameFlags,
    Foreign,
    Ref, //
};

/// An object in the work directory that is removed when it is dropped, unless it was moved away.
///
/// Dropping it locks the work directory. A [`Renaming`] of it therefore has to be made, and so
/// dropped, inside the life of this.
pub(crate) struct Temp<'a> {
    upper: Upper<'a>,
    dir: &'a Dentry<Foreign>,
    dentry: Option<Ref<'a, Dentry<Foreign>>>,
}

impl<'a> Temp<'a> {
    /// Takes over something in the work directory.
    pub(crate) fn new(upper: Upper<'a>, dentry: Ref<'a, Dentry<Foreign>>) -> Result<Self> {
        Ok(Self {
            upper,
            dir: upper.work()?,
            dentry: Some(dentry),
        })
    }

    /// The object.
    pub(crate) fn dentry(&self) -> Result<&Dentry<Foreign>> {
        self.dentry.as_deref().ok_or(reason::TEMP_GONE)
    }

    /// Prepares to move it to the place of `new` in the directory `new_dir`.
    pub(crate) fn start_moving_to(
        &self,
        new_dir: &'a Dentry<Foreign>,
        new: &Dentry<Foreign>,
        flags: RenameFlags,
    ) -> Result<Renaming<'a>> {
        self.upper
            .start_renaming_two_dentries((self.dir, self.dentry()?), (new_dir, new), flags)
    }

    /// Prepares to move it to `name` in the directory `new_dir`.
    pub(crate) fn start_moving_to_name(
        &self,
        new_dir: &'a Dentry<Foreign>,
        name: &[u8],
        target: Target,
    ) -> Result<Renaming<'a>> {
        self.upper.start_renaming_dentry(
            (self.dir, self.dentry()?),
            (new_dir, name),
            target,
            RenameFlags::NONE,
        )
    }

    /// Gives it up without removing it: it was moved to its place.
    pub(crate) fn moved(mut self) -> Result<Ref<'a, Dentry<Foreign>>> {
        self.dentry.take().ok_or(reason::TEMP_GONE)
    }
}

impl Drop for Temp<'_> {
    fn drop(&mut self) {
        if let Some(dentry) = self.dentry.take() {
            self.upper.cleanup(self.dir, &dentry);
        }
    }
}
