// SPDX-License-Identifier: GPL-2.0

//! `ROVL_IOC_GET_LAYER`: which layers an object is made of.

use crate::{
    live::{
        num_lower,
        position, //
    },
    object::{
        entry::{
            DentryExt,
            DentryFlag,
            Flag,
            InodeExt,
            Real, //
        },
        reason, //
    },
    query::with_object,
    Rovl, //
};
use ioctls::layer::{
    attribute,
    Layer,
    NONE, //
};
use kernel::prelude::*;
use stacking::stack::LowerEntry;
use vfs::{
    dentry::Dentry,
    file::File,
    inode::Inode, //
};

pub(super) fn get(file: &File<Rovl>, asked: Layer) -> Result<Layer> {
    with_object(file, asked.flags, asked.object, |dentry| {
        describe(dentry, asked)
    })
}

/// The object of `dentry`, at one moment.
fn describe(dentry: &Dentry<Rovl>, asked: Layer) -> Result<Layer> {
    let inode = dentry.positive()?;
    let ofs = inode.ofs();
    let real = inode.real();
    let mut layer = Layer {
        size: asked.size,
        flags: asked.flags,
        object: asked.object,
        ..Layer::new()
    };
    let place = |index: usize| position(inode.sb(), index);
    layer.lower_layers = u32::try_from(num_lower(inode.sb()))?;
    layer.data_layers = u32::try_from(ofs.num_data)?;
    layer.top = number(place(top(&real).ok_or(reason::NO_LAYERS)?));
    layer.data = data(inode, &real).map_or(NONE, |index| number(place(index)));
    layer.ino = real.top_inode()?.ino();
    if let Some(upper) = real.upper_layer() {
        layer.add(place(upper));
    }
    for entry in real.lower().iter_found() {
        layer.add(place(entry.layer()));
    }
    let count = layer.layers.iter().map(|word| word.count_ones());
    layer.count = count.fold(0, u32::saturating_add);
    layer.attributes = attributes(dentry, inode, &real);
    Ok(layer)
}

/// The number of a layer, of which there are at most 500.
fn number(layer: usize) -> u32 {
    u32::try_from(layer).unwrap_or(NONE)
}

/// The layer that shows the attributes.
fn top(real: &Real<'_>) -> Option<usize> {
    let first = || real.lower().first().map(LowerEntry::layer);
    real.upper_layer().or_else(first)
}

/// The layer that has the data of a regular file, if that has been looked for.
fn data(inode: &Inode<Rovl>, real: &Real<'_>) -> Option<usize> {
    if !inode.is_reg() {
        return None;
    }
    if real.upper().is_some() && real.has_upper_data() {
        return real.upper_layer();
    }
    real.lower().data().map(LowerEntry::layer)
}

fn attributes(dentry: &Dentry<Rovl>, inode: &Inode<Rovl>, real: &Real<'_>) -> u64 {
    let (is_dir, flags, kind) = (inode.is_dir(), real.flags(), real.path_type());
    let is_metacopy = real.is_metacopy();
    let lower = real.lower();
    let later = lower.deferred_place().is_some() && lower.data().is_none();
    let all = [
        (attribute::UPPER, kind.upper),
        (attribute::MERGED, is_dir && kind.merge),
        (attribute::METACOPY, is_metacopy),
        (
            attribute::OPAQUE,
            is_dir && kind.upper && dentry.has(DentryFlag::Opaque),
        ),
        (
            attribute::REDIRECTED,
            (kind.upper || !inode.ofs().mounts.may_grow())
                && inode.data().with_redirect(|text| text.is_some()),
        ),
        (attribute::WHITEOUTS, is_dir && flags.has(Flag::Whiteouts)),
        (attribute::IMPURE, is_dir && flags.has(Flag::Impure)),
        (
            attribute::ORIGIN,
            !is_dir && kind.upper && !lower.is_empty(),
        ),
        (attribute::INDEXED, flags.has(Flag::Index)),
        (attribute::DATA_LATER, is_metacopy && later),
        (attribute::DIGEST, is_metacopy && flags.has(Flag::HasDigest)),
        (
            attribute::VERIFIED,
            is_metacopy && flags.has(Flag::VerifiedDigest),
        ),
    ];
    all.iter()
        .filter(|(_, on)| *on)
        .fold(0, |all, (bit, _)| all | bit)
}
