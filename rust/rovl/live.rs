// SPDX-License-Identifier: GPL-2.0

//! Layers that change under a mount: what is asked for, and what it does.
//!
//! Documentation/live.rst has the whole; the locks are in [`crate::object::live`].
//!
//! May use `upper`, `object`.

mod asked;
pub(crate) mod checkpoint;
pub(crate) mod layers;
pub(crate) mod list;
mod prepare;
mod switch;
mod uuids;

use crate::{
    object::{
        reason,
        super_data::Super, //
    },
    Rovl, //
};
use kernel::prelude::*;
use stacking::{
    prelude::*,
    stack::LowerEntry, //
};
use vfs::{
    dentry::Dentry,
    super_block::SuperBlock, //
};

/// The lower layers of the mount, topmost first, which all have an entry in the root.
fn lower_layers(sb: &SuperBlock<Rovl>) -> &[LowerEntry] {
    let root = sb.root().and_then(Dentry::inode);
    root.map_or(&[], |root| root.lower().as_slice())
}

/// How many lower layers there are, with the data-only ones.
pub(crate) fn num_lower(sb: &SuperBlock<Rovl>) -> usize {
    let ofs = sb.data();
    if ofs.mounts.may_grow() {
        lower_layers(sb).len()
    } else {
        ofs.mounts.num_lower()
    }
}

/// The place of the layer `index` from the top, where the upper one is at 0 and the data-only ones come
/// after all others.
pub(crate) fn position(sb: &SuperBlock<Rovl>, index: usize) -> usize {
    let ofs: &Super = sb.data();
    if !ofs.mounts.may_grow() {
        return index;
    }
    if index == ofs.mounts.upper_index() {
        return 0;
    }
    let mut all = lower_layers(sb).iter();
    let place = all.position(|entry| entry.layer() == index);
    place.map_or(0, |place| place.saturating_add(1))
}

/// The root, which is there as long as the mount.
fn root(sb: &SuperBlock<Rovl>) -> Result<&Dentry<Rovl>> {
    sb.root().ok_or(reason::NO_ROOT)
}
