// SPDX-License-Identifier: GPL-2.0

//! Directories of one layer, which are read straight from it.

use crate::{
    listing::{
        cache::Listing,
        entries::{
            Entries,
            Mark, //
        },
        index::NameIndex, //
    },
    object::{
        entry::{
            Flag,
            InodeExt, //
        },
        ino_space::InoSpace, //
    },
    observe::{
        stats::Counter,
        trace, //
    },
    readdir::number,
    upper::Upper,
    Rovl, //
};
use kernel::{
    prelude::*,
    sync::Arc, //
};
use ondisk::xattr::Name;
use stacking::{
    cred::AsMounter,
    dir_context::LayerDir,
    prelude::*, //
};
use vfs::{
    dir_context::DirContext,
    inode::{
        Inode,
        LockedShared, //
    },
    path::PathRef,
    stat::StatRequest, //
};

/// Passes the entries of `file` on, the open directory of the layer.
///
/// `upper` says that it is one of the upper layer and was so when it was opened.
pub(crate) fn emit(
    m: &AsMounter,
    dir: PathRef<'_, Rovl>,
    lock: &LockedShared<'_, Rovl>,
    file: &mut LayerDir,
    upper: bool,
    ctx: &mut DirContext<'_>,
) -> Result {
    let inode = lock.inode();
    let ofs = inode.ofs();
    if !ofs.ino_space.is_one_device() {
        return file.pass_on(m, ctx);
    }
    let parent = number_of_merged_parent(dir)?;
    // Where layers change it may not be the upper one any more, and its entries have the same numbers.
    let impure = if (upper || ofs.mounts.may_grow()) && inode.data().test(Flag::Impure) {
        open_impure(m, dir, lock)?
    } else {
        None
    };
    let is_own = matches!(ofs.ino_space, InoSpace::OneFs) || upper;
    if parent.is_none() && impure.is_none() && is_own {
        return file.pass_on(m, ctx);
    }
    let fsid = match inode.lower().first() {
        Some(lower) if !upper => ofs.fsid(lower.layer()),
        _ => 0,
    };
    let dentry = dir.dentry();
    file.pass_on_with_ino(m, ctx, move |entry| {
        let known = match (entry.name, parent) {
            (b"..", Some(parent)) => Some(parent),
            _ => match &impure {
                Some(impure) => find_number(impure, entry.name),
                None => None,
            },
        };
        known.unwrap_or_else(|| number::mapped(dentry, entry.name, entry.ino, fsid))
    })
}

/// The number of the entry `name`, if that is not the layer's.
// Most directories are not impure, and all have the entries passed on.
#[inline(never)]
fn find_number(impure: &Listing, name: &[u8]) -> Option<u64> {
    Some(impure.find(name)?.ino())
}

/// The number that `stat()` shows for the parent, if it is a merged directory: then it is not the
/// one of the layer's parent.
fn number_of_merged_parent(dir: PathRef<'_, Rovl>) -> Result<Option<u64>> {
    // Even a locked directory can be moved by d_splice_alias(), hence the reference.
    let parent = dir.dentry().parent();
    let is_merged = parent.inode().is_some_and(|dir| dir.real().is_merged_dir());
    if !is_merged {
        return Ok(None);
    }
    Ok(Some(dir.getattr_of(&parent, StatRequest::INO)?.ino()))
}

/// What was copied up is told by the version of the directory, whatever the layer is like.
const ANY_STATE: Option<u64> = Some(0);

/// The entries of an impure directory whose inode number is not that of the upper layer.
///
/// Returns `None` where there are none, and takes the mark from the directory then.
fn open_impure(
    m: &AsMounter,
    dir: PathRef<'_, Rovl>,
    lock: &LockedShared<'_, Rovl>,
) -> Result<Option<Arc<Listing>>> {
    let inode = lock.inode();
    let data = inode.data();
    let version = data.version();
    if let Some(listing) = data.dir_cache.get(version, ANY_STATE) {
        let stats = &inode.ofs().stats;
        stats.count(Counter::ListingsHit);
        trace::listing_hit(stats.place(inode.ino()), listing.bytes());
        return Ok(Some(listing));
    }
    let keeper = &inode.ofs().keeper;
    // Nobody can use it any more.
    data.dir_cache.set_listing(keeper, inode.ino(), None);
    let (entries, index) = read_impure(m, dir, lock)?;
    if entries.is_empty() {
        remove_impure_mark(m, inode);
        return Ok(None);
    }
    let listing = Listing::new(version, ANY_STATE, entries, Some(index))?;
    data.dir_cache
        .set_listing(keeper, inode.ino(), Some(listing.clone()));
    Ok(Some(listing))
}

fn read_impure(
    m: &AsMounter,
    dir: PathRef<'_, Rovl>,
    lock: &LockedShared<'_, Rovl>,
) -> Result<(Entries, NameIndex)> {
    let dir_of_layer = lock.inode().real().top()?;
    let mut all = Entries::new();
    dir_of_layer.read_dir(m, |entry| {
        if !entry.is_dot_or_dotdot() {
            all.push(entry, Mark::OwnNumber as u8)?;
        }
        Ok(())
    })?;
    let mut index = NameIndex::new();
    let mut changed = Entries::new();
    for entry in all.iter() {
        let name = all.name(entry);
        let of_layer = entry.ino();
        number::complete(dir, lock, name, entry)?;
        if entry.ino() != of_layer {
            let number = changed.push_as(entry, name)?;
            index.insert(index.hash(name), number)?;
        }
    }
    changed.shrink();
    Ok((changed, index))
}

/// Marks a directory as one without copied up entries.
fn remove_impure_mark(m: &AsMounter, inode: &Inode<Rovl>) {
    let ofs = inode.ofs();
    // Where layers change, that would be a change without their lock.
    let unchanging = !ofs.mounts.may_grow();
    if let (Some(dir), Ok(mount), true) = (inode.upper(), ofs.upper_mount(), unchanging) {
        if let Ok(write) = mount.want_write() {
            let upper = Upper {
                ofs,
                m,
                write: &write,
            };
            // Without the attribute the directory is read faster, with it as well as before.
            let _ = upper.remove_xattr(dir, Name::Impure);
        }
    }
    inode.data().clear(Flag::Impure);
}
