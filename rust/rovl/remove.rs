// SPDX-License-Identifier: GPL-2.0

//! Removing names.
//!
//! What exists in the upper layer only is removed there. What exists below is hidden by a whiteout.

mod clear_dir;

use crate::{
    copy_up::copy_up,
    entry::{
        DentryExt,
        InodeExt, //
    },
    index::change_links,
    lookup::is_lower_positive,
    readdir::{
        check_empty,
        Names, //
    },
    upper::Upper,
    Rovl, //
};
use kernel::{
    prelude::*,
    sync::aref::ARef, //
};
use vfs::{
    dentry::{
        Dentry,
        Stable, //
    },
    Layer, //
};

/// `->unlink`
pub(crate) fn unlink(dentry: Stable<'_, Rovl>) -> Result {
    remove(dentry, false)
}

/// `->rmdir`
pub(crate) fn rmdir(dentry: Stable<'_, Rovl>) -> Result {
    remove(dentry, true)
}

fn remove(dentry: Stable<'_, Rovl>, is_dir: bool) -> Result {
    let inode = dentry.positive()?;
    let lower_positive = is_lower_positive(dentry)?;
    // Whether a pure upper directory is empty is checked by the upper file system.
    let whiteouts = if is_dir && (lower_positive || !dentry.is_pure_upper()) {
        dentry.ofs().as_mounter(|m| check_empty(m, &dentry))?
    } else {
        Names::new()
    };
    copy_up(dentry.stable_parent())?;

    let result = change_links(&dentry, |upper| {
        if lower_positive {
            upper.remove_and_whiteout(dentry, &whiteouts)?;
        } else {
            upper.remove_upper(dentry, is_dir, &whiteouts)?;
        }
        if is_dir {
            inode.clear_nlink();
        } else {
            drop_nlink(&dentry);
        }
        Ok(())
    });
    if inode.upper().is_some() {
        // The time of the change. A lower object that was only hidden keeps its own.
        inode.copy_attr_from_real();
    }
    result
}

/// One name of `dentry`'s inode less.
///
/// Layers that are changed under a mount make the number of links wrong. It must not get to zero as
/// long as another name is known.
pub(crate) fn drop_nlink(dentry: &Dentry<Rovl>) {
    let other_name = dentry.has_other_hashed_alias();
    if let Some(inode) = dentry.inode() {
        if inode.nlink() > u32::from(other_name) {
            inode.drop_nlink();
        }
    }
}

/// What is in the upper layer in the place of a dentry.
struct Expected<'a> {
    /// The directory that replaced that of the dentry, see [`Upper::clear_dir`].
    cleared: Option<ARef<Dentry<Layer>>>,
    /// The dentry in the upper layer.
    upper: Option<&'a Dentry<Layer>>,
}

impl Expected<'_> {
    /// Whether it is `found`.
    fn is(&self, found: &Dentry<Layer>) -> bool {
        match (&self.cleared, self.upper) {
            (Some(cleared), _) => found.is(cleared),
            (None, Some(upper)) => Upper::is_name_of(found, upper.inode()),
            (None, None) => true,
        }
    }
}

impl Upper<'_> {
    fn expect<'b>(&self, dentry: Stable<'b, Rovl>, whiteouts: &Names) -> Result<Expected<'b>> {
        let cleared = if whiteouts.is_empty() {
            None
        } else {
            Some(self.clear_dir(dentry, whiteouts)?)
        };
        Ok(Expected {
            cleared,
            upper: dentry.dentry().upper(),
        })
    }

    /// Removes `dentry` from the upper layer and leaves a whiteout.
    fn remove_and_whiteout(&self, dentry: Stable<'_, Rovl>, whiteouts: &Names) -> Result {
        let parent = dentry.stable_parent();
        let dir = parent.upper().ok_or(EIO)?;
        self.work()?;
        let expected = self.expect(dentry, whiteouts)?;
        let found = self.lookup(dir, dentry.name())?;
        if !expected.is(&found) {
            return Err(ESTALE);
        }
        let result = self.replace_by_whiteout(dir, &found);
        if result.is_ok() {
            parent.positive()?.dir_modified(true);
        }
        dentry.drop_from_hash();
        result
    }

    /// Removes `dentry` from the upper layer.
    fn remove_upper(&self, dentry: Stable<'_, Rovl>, is_dir: bool, whiteouts: &Names) -> Result {
        let parent = dentry.stable_parent();
        let dir = parent.upper().ok_or(EIO)?;
        let expected = self.expect(dentry, whiteouts)?;
        let removing = self.start_removing(dir, dentry.name())?;
        if expected.upper.is_none() || !expected.is(removing.dentry()) {
            return Err(ESTALE);
        }
        let result = if is_dir {
            removing.rmdir()
        } else {
            removing.unlink()
        };
        parent.positive()?.dir_modified(dentry.path_type().origin);
        if result.is_ok() {
            // A negative dentry would have to be without layers, which are the inode's.
            dentry.drop_from_hash();
        }
        result
    }
}
