// SPDX-License-Identifier: GPL-2.0

//! Tracepoints. `trace.h` has their members, in the order of the values here.

use crate::Rovl;
use kernel::prelude::*;
use vfs::{
    dentry::Dentry,
    trace::Event, //
};

/// Why an object is copied up: the operation that needs it in the upper layer.
#[derive(Clone, Copy)]
pub(crate) enum Why {
    /// Its data is going to be changed.
    Open = 0,
    /// Its data is going to be dropped.
    Truncate = 1,
    /// `setattr`
    Setattr = 2,
    /// An extended attribute.
    Xattr = 3,
    /// An access control list.
    Acl = 4,
    /// File attributes.
    Fileattr = 5,
    /// Something is made in it.
    Create = 6,
    /// Something is removed from it, or it is removed.
    Remove = 7,
    /// `rename`
    Rename = 8,
    /// `link`
    Link = 9,
    /// A file handle of it is made.
    Handle = 10,
}

/// What became of the data of an object that was copied up.
#[derive(Clone, Copy)]
pub(crate) enum How {
    /// There is none.
    NoData = 0,
    /// It was copied.
    Data = 1,
    /// It is shared with the lower file.
    Shared = 2,
    /// It stays in the lower file.
    Metadata = 3,
}

/// Why what is kept of a directory is given up.
#[derive(Clone, Copy)]
pub(crate) enum Dropped {
    /// It is not right any more, or cannot be known to be.
    Changed = 0,
    /// Memory is short.
    Memory = 1,
    /// The inode goes.
    Inode = 2,
}

/// A directory of a mount, for what is told where nobody has a dentry.
#[derive(Clone, Copy)]
pub(crate) struct Place {
    /// The device number of the mount.
    pub(crate) dev: u32,
    /// The inode number of the directory.
    pub(crate) ino: u64,
}

/// The tracepoints that `trace.c` declares.
mod point {
    vfs::tracepoints! {
        pub(super) copy_up_begin;
        pub(super) copy_up_end;
        pub(super) lookup;
        pub(super) whiteout;
        pub(super) opaque;
        pub(super) redirect;
        pub(super) listing_built;
        pub(super) listing_hit;
        pub(super) listing_dropped;
        pub(super) name_table_built;
        pub(super) name_table_hit;
        pub(super) name_table_dropped;
        pub(super) sync;
        pub(super) stale_handle;
        pub(super) mount_refused;
        pub(super) mount_downgraded;
    }
}

fn of(dentry: &Dentry<Rovl>) -> Event<'_> {
    Event {
        dev: dentry.sb().dev(),
        ino: dentry.inode().map_or(0, |inode| inode.ino()),
        subject: Some(dentry.into()),
        ..Event::default()
    }
}

fn at(place: Place, values: [u64; 2]) -> Event<'static> {
    let [first, second] = values;
    Event {
        dev: place.dev,
        ino: place.ino,
        values: [first, second, 0, 0, 0],
        ..Event::default()
    }
}

/// `dentry`, of which `size` bytes count, is going to be copied up.
#[inline]
pub(crate) fn copy_up_begin(dentry: &Dentry<Rovl>, size: i64, why: Why) {
    // CAST: neither is negative.
    point::copy_up_begin(|| Event {
        values: [size as u64, why as u64, 0, 0, 0],
        ..of(dentry)
    });
}

/// What became of a copy up.
pub(crate) struct CopiedUp {
    /// As for [`copy_up_begin`].
    pub(crate) size: i64,
    /// As for [`copy_up_begin`].
    pub(crate) why: Why,
    /// What became of the data.
    pub(crate) how: How,
    /// How many bytes were copied or are shared.
    pub(crate) bytes: u64,
    /// How long it took.
    pub(crate) ns: u64,
}

/// `dentry` was copied up, or could not be.
#[inline]
pub(crate) fn copy_up_end(dentry: &Dentry<Rovl>, done: Result, copied: &CopiedUp) {
    let CopiedUp {
        size,
        why,
        how,
        bytes,
        ns,
    } = *copied;
    // CAST: as above.
    point::copy_up_end(|| Event {
        result: done,
        values: [size as u64, why as u64, how as u64, bytes, ns],
        ..of(dentry)
    });
}

/// `dentry` was looked up; `ino` is the number of what was found.
#[inline]
pub(crate) fn lookup(
    dentry: &Dentry<Rovl>,
    ino: impl FnOnce() -> Result<u64>,
    asked: u32,
    missed: u32,
) {
    point::lookup(|| {
        let ino = ino();
        Event {
            ino: ino.unwrap_or(0),
            result: ino.map(|_| ()),
            values: [asked.into(), missed.into(), 0, 0, 0],
            ..of(dentry)
        }
    });
}

/// `dentry` has a whiteout in its place.
#[inline]
pub(crate) fn whiteout(dentry: &Dentry<Rovl>) {
    point::whiteout(|| of(dentry));
}

/// The directory `dentry` was made opaque.
#[inline]
pub(crate) fn opaque(dentry: &Dentry<Rovl>) {
    point::opaque(|| of(dentry));
}

/// `dentry` has got the redirect `to`.
#[inline]
pub(crate) fn redirect(dentry: &Dentry<Rovl>, to: &[u8]) {
    point::redirect(|| Event {
        text: to,
        ..of(dentry)
    });
}

/// A listing was made.
#[inline]
pub(crate) fn listing_built(place: Place, bytes: usize) {
    point::listing_built(|| at(place, [bytes as u64, 0]));
}

/// A listing was there already.
#[inline]
pub(crate) fn listing_hit(place: Place, bytes: usize) {
    point::listing_hit(|| at(place, [bytes as u64, 0]));
}

/// A listing was given up.
#[inline]
pub(crate) fn listing_dropped(place: Place, bytes: usize, why: Dropped) {
    point::listing_dropped(|| at(place, [bytes as u64, why as u64]));
}

/// A table of names was made.
#[inline]
pub(crate) fn name_table_built(place: Place, bytes: usize) {
    point::name_table_built(|| at(place, [bytes as u64, 0]));
}

/// A lookup had a table of names.
#[inline]
pub(crate) fn name_table_hit(place: Place, bytes: usize) {
    point::name_table_hit(|| at(place, [bytes as u64, 0]));
}

/// A table of names was given up.
#[inline]
pub(crate) fn name_table_dropped(place: Place, bytes: usize, why: Dropped) {
    point::name_table_dropped(|| at(place, [bytes as u64, why as u64]));
}

/// The mount with device number `dev` was synced: all of the upper file system if `full`.
#[inline]
pub(crate) fn sync(dev: u32, done: Result, full: bool, files: u64, ns: u64) {
    point::sync(|| Event {
        dev,
        result: done,
        values: [full.into(), files, ns, 0, 0],
        ..Event::default()
    });
}

/// A file handle leads to nothing.
#[inline]
pub(crate) fn stale_handle(dev: u32, kind: i32, len: usize, reason: &[u8]) {
    // CAST: a number of 32 bits.
    point::stale_handle(|| Event {
        dev,
        text: reason,
        values: [u64::from(kind as u32), len as u64, 0, 0, 0],
        ..Event::default()
    });
}

/// A mount is refused.
#[inline]
pub(crate) fn mount_refused(message: &[u8]) {
    point::mount_refused(|| Event {
        text: message,
        ..Event::default()
    });
}

/// A mount gets less than it asks for, or there is something else to be said of it.
#[inline]
pub(crate) fn mount_downgraded(message: &[u8]) {
    point::mount_downgraded(|| Event {
        text: message,
        ..Event::default()
    });
}
