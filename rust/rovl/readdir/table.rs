// SPDX-License-Identifier: GPL-2.0

//! Which lower layers of a directory have a name: when a table of that is made, from what, and where
//! it must not be used.
//!
//! A table is made where it has paid for itself: lookups that found nothing in a layer are counted, until
//! they have cost as much as reading the directory in all layers will. So it never costs more than twice
//! of what the best choice would have. Whoever comes last makes it, with the directory locked as for the
//! lookup. When a listing is made, the table comes with it.
//!
//! It knows nothing of the upper layer, so that it is right as long as the lower ones do not change,
//! and as they must not, a name that is made there all the same is hidden as by a negative dentry.

use crate::{
    listing::name_table::{
        LayersWith,
        NameTable,
        TableBuilder, //
    },
    object::{
        entry::InodeExt,
        super_data::Super, //
    },
    Rovl, //
};
use core::sync::atomic::Ordering;
use kernel::{
    prelude::*,
    sync::Arc, //
};
use stacking::{
    cred::AsMounter,
    path::LayerPath,
    prelude::*,
    stack::LowerEntry, //
};
use vfs::{
    inode::Inode,
    name_hash::NameHasher, //
};

/// What it costs to open, read and close an empty directory of a layer, in lookups that find nothing.
const COST_OF_LAYER: usize = 4;

/// How many names are read in the time of a lookup that finds nothing.
const NAMES_PER_MISS: usize = 3;

/// How many bytes of a directory there are for each of its names, roughly: blocks are half full.
const BYTES_PER_NAME: usize = 64;

/// A directory of a layer that is larger is not read for a table. It takes more than ten milliseconds.
const MAX_SIZE: i64 = 1 << 20;

/// At this count a table is made.
const MAKE: u32 = 1 << 30;

/// From this count on none is made any more.
const NEVER: u32 = 1 << 31;

/// Leaves out layers that do not have a name, one lookup long.
pub(crate) struct Filter(Option<Arc<NameTable>>);

impl Filter {
    /// What is known of the names in `dir`, which has so many lower layers: with one more on top a table is of
    /// no use.
    #[inline]
    pub(crate) fn of(dir: &Inode<Rovl>, layers: usize) -> Self {
        if layers < 2 {
            return Self(None);
        }
        let Some(table) = dir.data().dir_cache.table() else {
            return Self(None);
        };
        let made_of = (layers, dir.generations().1);
        Self(Some(table).filter(|table| table.made_of() == made_of))
    }

    /// The layers that may have `name`, if that is known. What a redirect says may be no name at all: looking
    /// that up is an error (`lookup_noperm_common()`), and not that there is none.
    #[inline]
    pub(crate) fn layers_with(&self, name: &[u8]) -> Option<LayersWith<'_>> {
        let table = self.0.as_ref()?;
        if matches!(name, b"" | b"." | b"..") {
            return None;
        }
        Some(table.layers_with(name))
    }

    /// How much memory the table takes, if there is one.
    #[inline]
    pub(crate) fn bytes(&self) -> Option<usize> {
        Some(self.0.as_ref()?.bytes())
    }

    /// Takes account of lookups in the lower layers of `dir` that found nothing.
    // Of one layer, as most upper directories have it below them, no lookup asks for more than this.
    #[inline(always)]
    pub(crate) fn missed(&self, m: &AsMounter, dir: &Inode<Rovl>, misses: u32) {
        if misses > 0 && self.0.is_none() && dir.lower().is_merged() {
            missed(m, dir, misses);
        }
    }
}

/// The first layer of `layers` that is not above `from`. Without `layers`, of which nothing is known, it is
/// that one.
#[inline]
pub(crate) fn next(layers: &mut Option<LayersWith<'_>>, from: usize) -> Option<usize> {
    match layers {
        Some(layers) => layers.next(from),
        None => Some(from),
    }
}

fn missed(m: &AsMounter, dir: &Inode<Rovl>, misses: u32) {
    let counter = &dir.data().misses;
    // ORDERING: An estimate.
    let count = counter.load(Ordering::Relaxed).saturating_add(misses);
    if count >= NEVER {
        return;
    }
    counter.store(count, Ordering::Relaxed);
    let first = u32::try_from(dir.lower().len().saturating_mul(COST_OF_LAYER));
    if count < MAKE && first.is_ok_and(|first| count < first) {
        return;
    }
    if count < MAKE / 2 {
        // From now on what is left to be paid is counted.
        let cost = u32::try_from(cost(dir)).unwrap_or(u32::MAX).min(MAKE / 2);
        if let Some(left) = cost.checked_sub(count).filter(|left| *left > 0) {
            // ORDERING: As above.
            counter.store(MAKE.saturating_sub(left), Ordering::Relaxed);
            return;
        }
    } else if count < MAKE {
        return;
    }
    // Others who come meanwhile go on without.
    // ORDERING: As above.
    counter.store(NEVER, Ordering::Relaxed);
    let next = match make(m, dir) {
        Ok(false) => NEVER,
        _ => 0,
    };
    // ORDERING: As above.
    counter.store(next, Ordering::Relaxed);
}

/// What it costs to make a table, in lookups that find nothing.
fn cost(dir: &Inode<Rovl>) -> usize {
    let sizes = dir.lower().as_slice().iter().filter_map(|entry| {
        let size = entry.dentry().inode()?.size();
        usize::try_from(size.min(MAX_SIZE)).ok()
    });
    let size = sizes.fold(0, usize::saturating_add);
    let names = size / BYTES_PER_NAME;
    let layers = dir.lower().len().saturating_mul(COST_OF_LAYER);
    layers.saturating_add(names / NAMES_PER_MISS)
}

/// Makes a table and keeps it. Returns `false` where it would know nothing.
fn make(m: &AsMounter, dir: &Inode<Rovl>) -> Result<bool> {
    let ofs = dir.ofs();
    if ofs.casefold {
        return Ok(false);
    }
    let mut table = TableBuilder::new(NameHasher::new());
    // Before the layers: what is there by then is none the worse.
    let generation = dir.generations().1;
    let lower = dir.lower().as_slice();
    for (place, entry) in lower.iter().enumerate() {
        table.start(place)?;
        let path = ofs.lower_path(entry);
        let known = path.filter(|path| may_know(m, ofs, entry, *path));
        let read = known.map(|path| read(m, path, &mut table));
        match read {
            Some(Ok(())) => {}
            Some(Err(err)) if err == EINTR || err == ENOMEM => return Err(err),
            _ => table.leave_out()?,
        }
    }
    if table.knows_nothing(lower.len()) {
        return Ok(false);
    }
    table.set_made_of(lower.len(), generation);
    dir.data()
        .dir_cache
        .set_table(&ofs.keeper, dir.ino(), Some(table.finish()?));
    Ok(true)
}

fn read(m: &AsMounter, path: LayerPath<'_>, table: &mut TableBuilder) -> Result {
    if path
        .dentry
        .inode()
        .is_none_or(|inode| inode.size() > MAX_SIZE)
    {
        return Err(EFBIG);
    }
    path.read_dir(m, |entry| {
        if entry.is_dot_or_dotdot() {
            return Ok(());
        }
        table.add(entry.name)
    })
}

/// Whether a listing that is made of `dir` is to come with a table.
pub(crate) fn is_wanted(dir: &Inode<Rovl>) -> bool {
    let made_of = (dir.lower().len(), dir.generations().1);
    made_of.0 > 1
        && !dir.ofs().casefold
        && dir
            .data()
            .dir_cache
            .table()
            .is_none_or(|table| table.made_of() != made_of)
}

/// Keeps a table that came with a listing of so many lower layers, those of a generation, if it is of use. Without
/// memory for it there is none.
pub(crate) fn keep(dir: &Inode<Rovl>, (layers, generation): (usize, u32), mut table: TableBuilder) {
    if table.knows_nothing(layers) {
        return;
    }
    table.set_made_of(layers, generation);
    if let Ok(table) = table.finish() {
        dir.data()
            .dir_cache
            .set_table(&dir.ofs().keeper, dir.ino(), Some(table));
    }
}

/// Whether a table may know the names of `path`, the directory of `entry`: whether reading it tells all
/// that looking up would find.
pub(crate) fn may_know(
    m: &AsMounter,
    ofs: &Super,
    entry: &LowerEntry,
    path: LayerPath<'_>,
) -> bool {
    path.tells_all_names() && path.may_search(m) && is_exact(m, ofs, entry, path)
}

/// Whether the file system of a layer tells names apart by their bytes.
fn is_exact(m: &AsMounter, ofs: &Super, entry: &LowerEntry, path: LayerPath<'_>) -> bool {
    let Some(fs) = ofs.filesystem(ofs.fsid(entry.layer())) else {
        return false;
    };
    if let Some(exact) = fs.exact.copy() {
        return exact;
    }
    let exact = path.tells_names_apart(m);
    fs.exact.populate(exact);
    exact
}

/// The state of the layers of `dir`, by which a change of one is told; `None` where one does not tell.
pub(crate) fn stamp(dir: &Inode<Rovl>) -> Option<u64> {
    combine(dir, |path| Ok(path.stamp()))
}

/// The same, so that any change from now on is told.
pub(crate) fn sharp_stamp(m: &AsMounter, dir: &Inode<Rovl>) -> Option<u64> {
    combine(dir, |path| path.sharp_stamp(m))
}

fn combine(dir: &Inode<Rovl>, of: impl Fn(LayerPath<'_>) -> Result<u64>) -> Option<u64> {
    let ofs = dir.ofs();
    let real = dir.real();
    let upper = real.upper_path();
    let lower = real.lower().as_slice().iter();
    let mut paths = Iterator::chain(
        upper.into_iter().map(Some),
        lower.map(|entry| ofs.lower_path(entry)),
    );
    paths.try_fold(0u64, |all, path| {
        let path = path.filter(|path| path.tells_all_names())?;
        Some(all.rotate_left(7) ^ of(path).ok()?)
    })
}
