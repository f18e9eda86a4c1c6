// SPDX-License-Identifier: GPL-2.0

//! `ROVL_IOC_GET_STACK`: the layers of a mount, one at a time.

use crate::{
    live::lower_layers,
    object::{
        entry::InodeExt,
        reason,
        super_data::Super,
        text::Text, //
    },
    Rovl, //
};
use ioctls::stack::{
    self,
    StackEntry, //
};
use kernel::prelude::*;
use stacking::path::LayerPath;
use vfs::{
    file::File,
    super_block::{
        SeqOptions,
        SuperBlock, //
    }, //
};

/// Tells of the layer that is asked for. Who has a descriptor may ask.
///
/// Returns `ENOENT` for one that there is not.
pub(crate) fn get(file: &File<Rovl>, asked: StackEntry) -> Result<StackEntry> {
    if asked.flags != 0 {
        return Err(reason::QUERY_FLAGS);
    }
    let inode = file.inode();
    let ofs = inode.ofs();
    // So that what is told of one layer is of one moment.
    let _layers = ofs.start_changing();
    let lower = lower_layers(inode.sb());
    let position = usize::try_from(asked.position)?;
    let has_upper = ofs.mounts.upper().is_some();
    let index_at = |position: usize| match position.checked_sub(1) {
        None => has_upper.then(|| ofs.mounts.upper_index()),
        Some(place) => lower.get(place).map(|entry| entry.layer()),
    };
    let index = index_at(position).ok_or(ENOENT)?;
    let root = ofs.mounts.root(index).ok_or(ENOENT)?;
    let mut entry = StackEntry {
        size: asked.size,
        position: asked.position,
        count: u32::try_from(lower.len().saturating_add(1))?,
        ino: root.dentry.inode().ok_or(ENOENT)?.ino(),
        ..StackEntry::new()
    };
    (entry.dev_major, entry.dev_minor) = device(root);
    if position == 0 {
        entry.kind = stack::UPPER;
    } else if ofs.mounts.may_grow() && ofs.mounts.was_upper(index) {
        entry.kind = stack::CHECKPOINT;
    } else if ofs.later_of(index).is_some() {
        entry.kind = stack::PUSHED;
    }
    if let Some(name) = ofs.name_of(index) {
        stack::set_text(&mut entry.name, name.as_bytes());
    }
    if let Some(path) = path(ofs, index) {
        entry.path_len = u32::try_from(path.as_bytes().len())?;
        stack::set_text(&mut entry.path, path.as_bytes());
    }
    Ok(entry)
}

/// Shows the layers as options of a mount of what there is now: `list` has the same.
pub(crate) fn show(sb: &SuperBlock<Rovl>, m: &SeqOptions<'_>) {
    let ofs = sb.data();
    for entry in lower_layers(sb) {
        if let Some(path) = path(ofs, entry.layer()) {
            m.value(c"lowerdir+", path.as_cstr());
        }
    }
    let (upper, work) = match ofs.later() {
        Some(later) => (Some(&later.dir), Some(&later.work_dir)),
        None => (ofs.config.upperdir.as_ref(), ofs.config.workdir.as_ref()),
    };
    if let (Some(upper), Some(work)) = (upper, work) {
        m.value(c"upperdir", upper.as_cstr());
        m.value(c"workdir", work.as_cstr());
    }
}

/// The number of the device of a layer, in its two parts.
pub(super) fn device(root: LayerPath<'_>) -> (u32, u32) {
    let dev = root.dentry.layer_sb().dev();
    (dev >> MINOR_BITS, dev & ((1 << MINOR_BITS) - 1))
}

/// `MINORBITS`
const MINOR_BITS: u32 = 20;

/// The path by which a layer was given.
fn path(ofs: &Super, index: usize) -> Option<&Text> {
    if let Some(later) = ofs.later_of(index) {
        return Some(&later.dir);
    }
    match index.checked_sub(1) {
        None => ofs.config.upperdir.as_ref(),
        Some(lower) => ofs.config.lowerdirs.get(lower),
    }
}
