// SPDX-License-Identifier: GPL-2.0

//! What the lower layers have under a name that is in the upper one.

use crate::{
    object::entry::{
        DentryExt,
        DentryFlag, //
    },
    readdir::table::{
        self,
        Filter, //
    },
    Rovl, //
};
use kernel::prelude::*;
use stacking::{
    path::LayerPath,
    prelude::*, //
};

/// Whether a lower layer has something positive under the name of `dentry`, so that removing it
/// from the upper layer would let that show.
pub(crate) fn is_lower_positive(dentry: vfs::dentry::Child<'_, Rovl>) -> Result<bool> {
    if dentry.is_negative() {
        return Ok(dentry.has(DentryFlag::Opaque));
    }
    if dentry.upper().is_none() {
        return Ok(true);
    }
    if dentry.has(DentryFlag::NothingBelow) {
        return Ok(false);
    }
    let ofs = dentry.sb().data();
    let Some(parent) = dentry.dir().inode() else {
        return Ok(false);
    };
    let entries = parent.lower().as_slice();
    let filter = Filter::of(parent, entries.len());
    Ok(ofs.as_mounter(|m| {
        let mut layers = filter.layers_with(dentry.name());
        let mut misses = 0u32;
        let mut from = 0usize;
        while let Some(place) = table::next(&mut layers, from) {
            let Some(entry) = entries.get(place) else {
                break;
            };
            from = place.saturating_add(1);
            let Some(dir) = ofs.lower_path(entry) else {
                continue;
            };
            match dir.lookup_positive(m, dentry.name(), false) {
                Ok(None) => misses = misses.saturating_add(1),
                Ok(Some(this)) => {
                    let path = LayerPath::new(dir.mount, &this);
                    return !path.is_ok_and(|path| ofs.is_whiteout(m, path));
                }
                // Something is there that cannot be looked at.
                Err(_) => return true,
            }
        }
        filter.missed(m, parent, misses);
        false
    }))
}
