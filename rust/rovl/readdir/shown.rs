// SPDX-License-Identifier: GPL-2.0

//! What is shown of a merged directory: its listing, which several may read at a time.

use crate::{
    listing::{
        cache::Listing,
        entries::{
            Entry,
            Mark, //
        }, //
    },
    object::entry::InodeExt,
    observe::{
        stats::Counter,
        trace, //
    },
    readdir::{
        merged::{
            read,
            Purpose, //
        },
        number,
        table, //
    },
    Rovl, //
};
use kernel::{
    prelude::*,
    sync::Arc, //
};
use stacking::cred::AsMounter;
use vfs::{
    dentry::Dentry,
    dir_context::DirContext,
    inode::LockedShared,
    path::PathRef, //
};

/// The listing of a directory for one more open file: the one that is kept, if nothing has changed
/// since, or a new one.
///
/// The caller holds `i_rwsem` of the directory, as `lock` shows, and no other lock of the inode.
pub(crate) fn open_listing(
    m: &AsMounter,
    dentry: &Dentry<Rovl>,
    lock: &LockedShared<'_, Rovl>,
) -> Result<Arc<Listing>> {
    let inode = lock.inode();
    let data = inode.data();
    let stats = &inode.ofs().stats;
    let kept = || {
        let kept = data.dir_cache.open(data.version(), table::stamp(inode));
        kept.inspect(|listing| {
            stats.count(Counter::ListingsHit);
            trace::listing_hit(stats.place(inode.ino()), listing.bytes());
        })
    };
    if let Some(listing) = kept() {
        return Ok(listing);
    }
    // One makes it for all who come at the same time.
    let _lock = inode.lock_mutex();
    if let Some(listing) = kept() {
        return Ok(listing);
    }
    let keeper = &inode.ofs().keeper;
    // Nobody can use it any more.
    data.dir_cache.set_listing(keeper, inode.ino(), None);
    let version = data.version();
    let stamp = table::sharp_stamp(m, inode);
    let mut entries = read(m, dentry, Purpose::Show)?;
    entries.shrink();
    let listing = Listing::new(version, stamp, entries, None)?;
    listing.open();
    data.dir_cache
        .set_listing(keeper, inode.ino(), Some(listing.clone()));
    Ok(listing)
}

/// Passes the entries on, from the position of `ctx` on.
pub(crate) fn emit(
    dir: PathRef<'_, Rovl>,
    lock: &LockedShared<'_, Rovl>,
    listing: &Listing,
    ctx: &mut DirContext<'_>,
) -> Result {
    let entries = &listing.entries;
    let mut pos = ctx.pos();
    let Ok(first) = usize::try_from(pos) else {
        return Ok(());
    };
    for entry in entries.from(first) {
        // Nearly all of them are shown as they are.
        let shown = entry.is_plain() || {
            if entry.needs_lookup() && !entry.is(Mark::Hidden) {
                complete(dir, lock, listing, entry)?;
            }
            !entry.is(Mark::Hidden)
        };
        if shown && !ctx.emit(entries.name(entry), entry.ino(), entry.kind()) {
            return Ok(());
        }
        pos = pos.saturating_add(1);
        ctx.set_pos(pos);
    }
    Ok(())
}

/// Completes an entry that several may read. The caller holds no lock of the inode but `lock`.
#[inline(never)]
fn complete(
    dir: PathRef<'_, Rovl>,
    lock: &LockedShared<'_, Rovl>,
    listing: &Listing,
    entry: &Entry,
) -> Result {
    // The lock of those who make a listing.
    let _lock = lock.inode().lock_mutex();
    if !entry.needs_lookup() {
        return Ok(());
    }
    number::complete(dir, lock, listing.entries.name(entry), entry)
        .inspect_err(|_| listing.note_failure())
}
