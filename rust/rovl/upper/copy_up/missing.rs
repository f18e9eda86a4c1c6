// SPDX-License-Identifier: GPL-2.0

//! What is not in the upper layer yet.

use crate::{
    object::{
        current::{
            self,
            is_gone, //
        },
        entry::{
            DentryExt,
            InodeExt, //
        },
        reason, //
    },
    upper::copy_up::Need,
    Rovl, //
};
use kernel::prelude::*;
use stacking::cred::AsMounter;
use vfs::{
    dentry::Dentry,
    stat::{
        Kstat,
        StatRequest, //
    },
    Ref, //
};

/// Whether nobody finds a file by this name any more, where layers change: then a descriptor that was open
/// for writing before a layer was put on top may write what has no name in the upper layer, and gets none.
pub(super) fn is_nameless(dentry: &Dentry<Rovl>) -> bool {
    dentry.is_unhashed() && !dentry.is_dir() && dentry.sb().data().mounts.may_grow()
}

/// A name by which others find the file that `dentry` is no name of any more: the one that it was opened by was removed,
/// or it got one only after it had been made.
pub(super) fn other_name(dentry: &Dentry<Rovl>) -> Option<Ref<'_, Dentry<Rovl>>> {
    if !is_nameless(dentry) {
        return None;
    }
    dentry.inode()?.hashed_dentry()
}

/// Refuses, where layers change, to copy up what is gone, or what another object has the name of by now.
pub(super) fn check_may_change(dentry: &Dentry<Rovl>) -> Result {
    let ofs = dentry.sb().data();
    if ofs.live().is_none() || ofs.mounts.generation() == 0 {
        return Ok(());
    }
    if !dentry.is_dir() && is_gone(dentry) {
        return Err(reason::GONE);
    }
    if is_nameless(dentry) {
        return Ok(());
    }
    current::ensure(dentry)
}

/// A dentry that is not in the upper layer, with its parent, which is.
///
/// Something that was found by a file handle may have no parent yet. It is copied up to the index. What nobody finds
/// by a name needs none.
pub(super) struct Missing<'a> {
    pub(super) parent: Option<Ref<'a, Dentry<Rovl>>>,
    pub(super) dentry: Ref<'a, Dentry<Rovl>>,
}

impl Missing<'_> {
    /// The attributes of the lower object; its size is zero if no data is needed.
    // Inline, so that they are made in their place and not copied there.
    #[inline]
    pub(super) fn lower_stat(&self, m: &AsMounter, need: Need) -> Result<Kstat> {
        let lower = self
            .dentry
            .positive()?
            .real()
            .lower_path()
            .ok_or(reason::NO_LAYERS)?;
        let mut stat = lower.getattr(m, StatRequest::BASIC)?;
        if need == Need::NoData {
            stat.set_size(0);
        }
        Ok(stat)
    }
}

/// Of `dentry` and its parents the topmost one that is not in the upper layer.
pub(super) fn topmost_missing(dentry: &Dentry<Rovl>) -> Result<Missing<'_>> {
    let mut next: Ref<'_, Dentry<Rovl>> = Ref::from(dentry);
    if dentry.is_disconnected() {
        // The entry of a directory leads to a place that this one does not have.
        if dentry.is_dir() {
            return Err(reason::DISCONNECTED_DIR);
        }
        return Ok(Missing {
            parent: None,
            dentry: next,
        });
    }
    if is_nameless(dentry) {
        return Ok(Missing {
            parent: None,
            dentry: next,
        });
    }
    loop {
        let parent = next.parent();
        if parent.upper().is_some() {
            return Ok(Missing {
                parent: Some(parent),
                dentry: next,
            });
        }
        // The root, of a mount without an upper layer.
        if parent.is(&next) {
            return Err(EROFS);
        }
        next = parent;
    }
}
