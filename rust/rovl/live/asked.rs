// SPDX-License-Identifier: GPL-2.0

//! What is asked for: who may ask, and which layer is meant.

use crate::{
    live::{
        list::device,
        lower_layers,
        root, //
    },
    object::{
        live::Live,
        reason, //
    },
    Rovl, //
};
use ioctls::stack;
use kernel::prelude::*;
use vfs::{
    file::File,
    super_block::SuperBlock, //
};

/// A layer as whoever asks knows it: by its place, and by what was told of the one that has it.
#[derive(Clone, Copy)]
pub(super) struct Meant {
    position: u32,
    dev: (u32, u32),
    ino: u64,
}

impl From<&stack::Drop> for Meant {
    fn from(asked: &stack::Drop) -> Self {
        Self {
            position: asked.position,
            dev: (asked.dev_major, asked.dev_minor),
            ino: asked.ino,
        }
    }
}

impl From<&stack::Rollback> for Meant {
    fn from(asked: &stack::Rollback) -> Self {
        Self {
            position: asked.position,
            dev: (asked.dev_major, asked.dev_minor),
            ino: asked.ino,
        }
    }
}

/// The mount whose layers are to be changed by way of `file`.
///
/// Returns `EINVAL` for flags that are not known and where `file` is not the root, `EPERM`, `EOPNOTSUPP` for a mount
/// without the option `live`, and `EROFS`.
pub(super) fn may_change(file: &File<Rovl>, flags: u32) -> Result<(&SuperBlock<Rovl>, &Live)> {
    let sb = file.inode().sb();
    if flags != 0 {
        return Err(reason::QUERY_FLAGS);
    }
    if !file.dentry().is(root(sb)?) {
        return Err(reason::NOT_THE_ROOT);
    }
    if !sb.is_admin() {
        return Err(reason::NOT_ADMIN);
    }
    let live = sb.data().live().ok_or(EOPNOTSUPP)?;
    if sb.is_rdonly() {
        return Err(EROFS);
    }
    Ok((sb, live))
}

/// The name of a checkpoint or a layer in `text`.
///
/// Returns `EINVAL` for one with control characters, and without a NUL at its end.
pub(super) fn check_name(text: &[u8]) -> Result<&[u8]> {
    let name = stack::text(text);
    if name.iter().any(u8::is_ascii_control) || name.len() >= stack::NAME_LEN {
        return Err(reason::CHECKPOINT_NAME);
    }
    Ok(name)
}

/// The place among the lower layers, which the upper one has none, and the index of the layer that is meant.
///
/// Returns `ENOENT` where there is none in that place, and `ESTALE` where it is another one.
pub(super) fn layer_at(sb: &SuperBlock<Rovl>, meant: Meant) -> Result<(Option<usize>, usize)> {
    let mounts = &sb.data().mounts;
    let place = usize::try_from(meant.position)?.checked_sub(1);
    let index = match place {
        None => mounts.upper_index(),
        Some(place) => lower_layers(sb).get(place).ok_or(ENOENT)?.layer(),
    };
    let root = mounts.root(index).ok_or(ENOENT)?;
    let ino = root.dentry.inode().ok_or(ENOENT)?.ino();
    if (device(root), ino) != (meant.dev, meant.ino) {
        return Err(reason::ANOTHER_LAYER);
    }
    Ok((place, index))
}
