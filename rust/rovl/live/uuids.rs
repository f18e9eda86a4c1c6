// SPDX-License-Identifier: GPL-2.0

//! Which file systems their UUIDs tell from the others, with the layers that there are now.

use crate::{
    live::lower_layers,
    object::super_data::{
        Super,
        NULL_UUID, //
    },
    Rovl, //
};
use core::sync::atomic::Ordering;
use stacking::stack::LowerEntry;
use vfs::super_block::SuperBlock;

/// Notes of each file system that a lower layer is on what a mount of these layers would find of its UUID.
///
/// Nobody else may change the layers.
pub(super) fn tell_apart(sb: &SuperBlock<Rovl>) {
    let ofs = sb.data();
    let lower = lower_layers(sb);
    for (place, layer) in lower.iter().enumerate() {
        let fsid = ofs.fsid(layer.layer());
        let (above, below) = lower.split_at_checked(place).unwrap_or_default();
        // Once for each file system.
        if above.iter().any(|layer| ofs.fsid(layer.layer()) == fsid) {
            continue;
        }
        if let Some(fs) = ofs.filesystem(fsid) {
            let ambiguous = is_ambiguous(ofs, layer, above, below);
            // ORDERING: It says nothing of others. Who looks a name up while layers come or go does it again; at a checkpoint
            // he may find what was before it.
            fs.bad_uuid.store(ambiguous, Ordering::Relaxed);
        }
    }
}

/// The UUID by which origins are found in `layer`.
fn uuid_of(ofs: &Super, layer: &LowerEntry) -> [u8; 16] {
    if ofs.config.origin_uuid() {
        layer.dentry().layer_sb().uuid()
    } else {
        NULL_UUID
    }
}

/// Whether the UUID of the file system of `layer` may be that of another one, too. It is the first layer there, and
/// `above` and `below` are the others; `layer` may be among these.
///
/// As at a mount, which goes from the top down, and holds a UUID that it finds once more against one of those that had
/// it before: the upper file system, which needs none, if that is among them.
fn is_ambiguous(
    ofs: &Super,
    layer: &LowerEntry,
    above: &[LowerEntry],
    below: &[LowerEntry],
) -> bool {
    let uuid = uuid_of(ofs, layer);
    if uuid == NULL_UUID && ofs.config.allow_offline_changes() {
        return true;
    }
    let sb = layer.dentry().layer_sb();
    let is_same =
        |other: &&LowerEntry| !other.dentry().layer_sb().is(sb) && uuid_of(ofs, other) == uuid;
    let next = below.iter().find(is_same);
    above.iter().any(|other| is_same(&other))
        || next.is_some_and(|next| ofs.fsid(next.layer()) != 0)
}
