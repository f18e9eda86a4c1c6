// SPDX-License-Identifier: GPL-2.0

//! Renaming in a layer.

use super::check_dir;
use crate::{
    cred::AsMounter,
    mount::WriteGuard, //
};
use kernel::prelude::*;
use vfs::{
    bindings,
    dentry::Dentry,
    errno::to_result,
    namei::{
        qstr,
        RenameFlags, //
    },
    Foreign, //
};

/// What may be at the name to which [`WriteGuard::start_renaming_dentry`] renames.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Target {
    /// Whatever may be replaced.
    Any,
    /// Nothing: `EEXIST` where there is something (`LOOKUP_EXCL`).
    New,
}

/// Two names of the layer, the first of which takes the place of the second: `start_renaming()` and
/// `end_renaming()`.
///
/// # Invariants
///
/// `data` is what a `start_renaming*()` function filled in: both directories are locked and both
/// dentries and the old directory are referenced by this object; the directories are the parents of
/// the dentries. All of them are of the file system of the [`WriteGuard`] that made it.
pub struct Renaming<'a> {
    data: bindings::renamedata,
    _write: &'a WriteGuard<'a>,
    /// The mounter's credentials are in force as long as the names are locked.
    as_mounter: &'a AsMounter,
    /// Not referenced by `data`.
    _new_dir: &'a Dentry<Foreign>,
}

impl Renaming<'_> {
    /// What is renamed. It is positive if it was looked up by name.
    pub fn old(&self) -> &Dentry<Foreign> {
        // SAFETY: Referenced by the type invariant.
        unsafe { Dentry::from_raw(self.data.old_dentry) }
    }

    /// What is at the new name: it may be negative.
    pub fn new_dentry(&self) -> &Dentry<Foreign> {
        // SAFETY: Referenced by the type invariant.
        unsafe { Dentry::from_raw(self.data.new_dentry) }
    }

    /// Renames (`vfs_rename()`), and unlocks in any case.
    ///
    /// Both being names of one inode is a success that changes nothing.
    pub fn rename(mut self) -> Result {
        self.as_mounter.check()?;
        let exchange = self.data.flags & bindings::RENAME_EXCHANGE != 0;
        if self.old().is_negative() || (exchange && self.new_dentry().is_negative()) {
            return Err(ENOENT);
        }
        // SAFETY: By the type invariant. The function does not keep the pointer.
        to_result(unsafe { bindings::vfs_rename(&mut self.data) })
    }
}

impl Drop for Renaming<'_> {
    fn drop(&mut self) {
        // SAFETY: By the type invariant the locks and the references are ours.
        unsafe { bindings::end_renaming(&mut self.data) };
    }
}

impl WriteGuard<'_> {
    fn renamedata(
        &self,
        old_dir: &Dentry<Foreign>,
        new_dir: &Dentry<Foreign>,
        flags: RenameFlags,
    ) -> Result<bindings::renamedata> {
        check_dir(self, old_dir)?;
        check_dir(self, new_dir)?;
        Ok(bindings::renamedata {
            mnt_idmap: self.mount().idmap().as_raw(),
            old_parent: old_dir.as_raw(),
            new_parent: new_dir.as_raw(),
            flags: flags.into(),
            ..Default::default()
        })
    }

    /// Looks two names up and locks both directories (`start_renaming()`).
    ///
    /// Checks the permission to search them. `ENOENT` where there is nothing at the old name, or at
    /// the new one for an exchange.
    pub fn start_renaming<'a>(
        &'a self,
        as_mounter: &'a AsMounter,
        old: (&Dentry<Foreign>, &[u8]),
        new: (&'a Dentry<Foreign>, &[u8]),
        flags: RenameFlags,
    ) -> Result<Renaming<'a>> {
        as_mounter.check()?;
        let mut data = self.renamedata(old.0, new.0, flags)?;
        let (mut old_name, mut new_name) = (qstr(old.1)?, qstr(new.1)?);
        // SAFETY: Both are directories of this mount, and the names are not kept.
        to_result(unsafe { bindings::start_renaming(&mut data, 0, &mut old_name, &mut new_name) })?;
        // INVARIANT: Filled in just now; the function took a reference on the old directory.
        Ok(Renaming {
            data,
            _write: self,
            as_mounter,
            _new_dir: new.0,
        })
    }

    /// Looks the new name up and locks both directories (`start_renaming_dentry()`).
    ///
    /// `EINVAL` if `old` is not in `old_dir` any more.
    pub fn start_renaming_dentry<'a>(
        &'a self,
        as_mounter: &'a AsMounter,
        (old_dir, old): (&Dentry<Foreign>, &Dentry<Foreign>),
        (new_dir, new_name): (&'a Dentry<Foreign>, &[u8]),
        target: Target,
        flags: RenameFlags,
    ) -> Result<Renaming<'a>> {
        as_mounter.check()?;
        self.check(old)?;
        let mut data = self.renamedata(old_dir, new_dir, flags)?;
        let mut new_name = qstr(new_name)?;
        let lookup = match target {
            Target::Any => 0,
            // CAST: a flag bit.
            Target::New => bindings::rvfs_const_RVFS_LOOKUP_EXCL as c_int,
        };
        // SAFETY: Both are directories of this mount, `old` is of it too; the name is not kept.
        to_result(unsafe {
            bindings::start_renaming_dentry(&mut data, lookup, old.as_raw(), &mut new_name)
        })?;
        // INVARIANT: Filled in just now; the function took a reference on the old directory.
        Ok(Renaming {
            data,
            _write: self,
            as_mounter,
            _new_dir: new_dir,
        })
    }

    /// Locks both directories of two known dentries (`start_renaming_two_dentries()`).
    ///
    /// `EINVAL` if one of them is not in its directory any more.
    pub fn start_renaming_two_dentries<'a>(
        &'a self,
        as_mounter: &'a AsMounter,
        (old_dir, old): (&Dentry<Foreign>, &Dentry<Foreign>),
        (new_dir, new): (&'a Dentry<Foreign>, &Dentry<Foreign>),
        flags: RenameFlags,
    ) -> Result<Renaming<'a>> {
        as_mounter.check()?;
        self.check(old)?;
        self.check(new)?;
        let mut data = self.renamedata(old_dir, new_dir, flags)?;
        // SAFETY: Both are directories of this mount, and both dentries are of it.
        to_result(unsafe {
            bindings::start_renaming_two_dentries(&mut data, old.as_raw(), new.as_raw())
        })?;
        // INVARIANT: Filled in just now; the function took a reference on the old directory.
        Ok(Renaming {
            data,
            _write: self,
            as_mounter,
            _new_dir: new_dir,
        })
    }
}
