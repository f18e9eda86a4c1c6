// SPDX-License-Identifier: GPL-2.0

//! Removing names.
//!
//! What exists in the upper layer only is removed there. What exists below is hidden by a whiteout.

use crate::{
    listing::names::Names,
    namei::{
        lookup::is_lower_positive,
        nlink::change_links, //
    },
    object::{
        current,
        entry::{
            dir_modified,
            DentryExt,
            DentryFlag,
            InodeExt, //
        },
        reason, //
    },
    observe::trace::{
        self,
        Why, //
    },
    readdir::empty::check_empty,
    upper::{
        cleanup::cleanup_whiteouts,
        copy_up::copy_up,
        temp_name,
        Upper, //
    },
    Rovl, //
};
use kernel::prelude::*;
use stacking::{
    namei::Target,
    prelude::*, //
};
use vfs::{
    dentry::{
        Dentry,
        Positive, //
    },
    inode::Locked,
    namei::RenameFlags,
    Foreign, //
};

/// `->unlink`
pub(crate) fn unlink(dir: &Locked<'_, Rovl>, dentry: &Positive<'_, Rovl>) -> Result {
    remove(dir, dentry, false)
}

/// `->rmdir`
pub(crate) fn rmdir(dir: &Locked<'_, Rovl>, dentry: &Positive<'_, Rovl>) -> Result {
    remove(dir, dentry, true)
}

fn remove(dir: &Locked<'_, Rovl>, dentry: &Positive<'_, Rovl>, is_dir: bool) -> Result {
    let inode = dentry.inode();
    let _layers = dir.ofs().start_changing();
    current::ensure(dentry)?;
    let lower_positive = is_lower_positive(**dentry)?;
    // Whether a pure upper directory is empty is checked by the upper file system.
    let whiteouts = if is_dir && (lower_positive || !dentry.is_pure_upper()) {
        dentry.sb().data().as_mounter(|m| check_empty(m, dentry))?
    } else {
        Names::new()
    };
    copy_up(dentry.dir(), Why::Remove)?;

    let result = change_links(dentry, inode, Why::Remove, |upper| {
        if lower_positive {
            upper.remove_and_whiteout(dir, dentry, &whiteouts)?;
        } else {
            upper.remove_upper(dir, dentry, &whiteouts)?;
        }
        if is_dir {
            inode.clear_nlink();
        } else {
            drop_nlink(dentry, inode);
        }
        Ok(())
    });
    if inode.upper().is_some() {
        // The time of the change. A lower object that was only hidden keeps its own.
        inode.copy_attr_from_real();
    }
    result
}

/// One name less of `inode`, which is that of `dentry`.
///
/// Layers that are changed under a mount make the number of links wrong. It must not get to zero as
/// long as another name is known.
pub(crate) fn drop_nlink(dentry: &Dentry<Rovl>, inode: &Locked<'_, Rovl>) {
    let other_name = dentry.has_other_hashed_alias();
    if inode.nlink() > u32::from(other_name) {
        inode.drop_nlink();
    }
}

/// Leaves `dentry` in the dcache, where the VFS makes a negative one of it if nobody else uses it
/// (`d_delete()`), so that the name can come back without a lookup. In the upper layer there is a whiteout
/// now, or nothing at all.
///
/// A directory goes: its flags would mean something else of a name that is free. So does what is
/// revalidated, and where case is folded the VFS keeps no negative dentries. One of several names goes, too: the VFS
/// unlocks the inode before it makes the dentry negative, and until then whoever removes another name, in another
/// directory, would take this one for a name that stays (see [`drop_nlink`]).
fn remember_as_free(dentry: &Positive<'_, Rovl>, is_whiteout: bool) {
    dentry.unwatch_lower();
    if dentry.is_dir()
        || dentry.inode().nlink() > 1
        || dentry.has_other_hashed_alias()
        || dentry.is_revalidated()
        || dentry.sb().data().casefold
    {
        dentry.drop_from_hash();
        return;
    }
    if dentry.has(DentryFlag::Opaque) != is_whiteout {
        dentry.set(DentryFlag::Opaque, is_whiteout);
    }
    if !is_whiteout && !dentry.has(DentryFlag::NothingBelow) {
        dentry.mark(DentryFlag::NothingBelow);
    }
}

/// Whether `found` is what the overlay knows as `upper`.
fn check_found(found: &Dentry<Foreign>, upper: &Dentry<Foreign>) -> Result {
    if Upper::is_name_of(found, upper.inode()) {
        Ok(())
    } else {
        Err(reason::UPPER_CHANGED)
    }
}

impl Upper<'_> {
    /// Removes `dentry` from the upper layer and leaves a whiteout. In a directory nothing is but
    /// `whiteouts`.
    fn remove_and_whiteout(
        &self,
        dir: &Locked<'_, Rovl>,
        dentry: &Positive<'_, Rovl>,
        whiteouts: &Names,
    ) -> Result {
        let upper_dir = dir.upper().ok_or(reason::NOT_IN_UPPER)?;
        self.work()?;
        let found = self.lookup(upper_dir, dentry.name())?;
        if let Some(upper) = dentry.upper() {
            check_found(&found, upper)?;
        }
        let result = self.replace_by_whiteout(upper_dir, &found, whiteouts);
        if result.is_ok() {
            trace::whiteout(dentry);
            dir_modified(dir, true);
            remember_as_free(dentry, true);
        } else {
            dentry.drop_from_hash();
        }
        result
    }

    /// Removes `dentry` from the upper layer. In a directory nothing is but `whiteouts`.
    fn remove_upper(
        &self,
        dir: &Locked<'_, Rovl>,
        dentry: &Positive<'_, Rovl>,
        whiteouts: &Names,
    ) -> Result {
        let upper_dir = dir.upper().ok_or(reason::NOT_IN_UPPER)?;
        let upper = dentry.upper().ok_or(reason::NOT_IN_UPPER_ANY_MORE)?;
        let result = if whiteouts.is_empty() {
            let removing = self.start_removing(upper_dir, dentry.name())?;
            check_found(removing.dentry(), upper)?;
            if dentry.is_dir() {
                removing.rmdir()
            } else {
                removing.unlink()
            }
        } else {
            let found = self.lookup(upper_dir, dentry.name())?;
            check_found(&found, upper)?;
            self.remove_with_whiteouts(upper_dir, &found, whiteouts)
        };
        dir_modified(dir, dentry.path_type().origin);
        if result.is_ok() {
            remember_as_free(dentry, false);
        }
        result
    }

    /// Removes the directory `found` from `dir`, in which nothing is but `whiteouts`. In one step it
    /// goes to the work directory, where nobody sees it being emptied.
    fn remove_with_whiteouts(
        &self,
        dir: &Dentry<Foreign>,
        found: &Dentry<Foreign>,
        whiteouts: &Names,
    ) -> Result {
        let work = self.work()?;
        let name = temp_name();
        let to = (work, name.as_bytes());
        self.start_renaming_dentry((dir, found), to, Target::New, RenameFlags::NONE)?
            .rename()?;
        cleanup_whiteouts(self.m, self.write, found, whiteouts);
        self.cleanup(work, found);
        Ok(())
    }
}
