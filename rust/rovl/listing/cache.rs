// SPDX-License-Identifier: GPL-2.0

//! The listing of a directory that an inode keeps.

use crate::listing::{
    entries::{
        Entries,
        Entry, //
    },
    index::NameIndex, //
};
use core::sync::atomic::{
    AtomicU32,
    Ordering, //
};
use kernel::{
    new_spinlock,
    prelude::*,
    sync::{
        Arc,
        SpinLock, //
    },
};

/// What a directory held at one time.
///
/// That of a merged directory has all entries, and is not changed but for what a lookup tells of
/// one. That of an impure directory has those entries only whose inode number is not the layer's,
/// with an index.
pub(crate) struct Listing {
    /// [`version`](crate::object::entry::OvlInode::version) of the inode at that time.
    pub(crate) version: u64,
    /// The number of open files that read it. Changed with the lock of the slot held.
    openers: AtomicU32,
    pub(crate) entries: Entries,
    index: Option<NameIndex>,
}

impl Listing {
    /// A listing without readers.
    pub(crate) fn new(
        version: u64,
        entries: Entries,
        index: Option<NameIndex>,
    ) -> Result<Arc<Self>> {
        let listing = Self {
            version,
            openers: AtomicU32::new(0),
            entries,
            index,
        };
        Ok(Arc::new(listing, GFP_KERNEL)?)
    }

    /// Looks for an entry by name, in the listing of an impure directory.
    pub(crate) fn find(&self, name: &[u8]) -> Option<&Entry> {
        // CAST: `usize` has at least 32 bits.
        let get = |number: u32| self.entries.get(number as usize);
        let is_it = |number| get(number).is_some_and(|entry| self.entries.name(entry) == name);
        let index = self.index.as_ref()?;
        get(index.find(index.hash(name), is_it)?)
    }
}

/// Where an inode keeps the listing of a directory.
///
/// It is shared by all who have the directory open. The listing of a merged directory goes with the
/// last of them, and that of an impure one with the inode.
#[pin_data]
pub(crate) struct CacheSlot {
    #[pin]
    current: SpinLock<Option<Arc<Listing>>>,
}

impl CacheSlot {
    /// Nothing cached.
    pub(crate) fn init() -> impl PinInit<Self, Error> {
        try_pin_init!(Self {
            current <- new_spinlock!(None),
        })
    }

    /// The listing of version `version`.
    pub(crate) fn get(&self, version: u64) -> Option<Arc<Listing>> {
        let current = self.current.lock();
        current
            .as_ref()
            .filter(|listing| listing.version == version)
            .cloned()
    }

    /// Like [`get`](Self::get), for one more open file.
    pub(crate) fn open(&self, version: u64) -> Option<Arc<Listing>> {
        let current = self.current.lock();
        let listing = current
            .as_ref()
            .filter(|listing| listing.version == version)?;
        // ORDERING: The lock orders it.
        listing.openers.fetch_add(1, Ordering::Relaxed);
        Some(listing.clone())
    }

    /// Replaces the listing.
    pub(crate) fn set(&self, listing: Option<Arc<Listing>>) {
        let old = core::mem::replace(&mut *self.current.lock(), listing);
        // Freeing may sleep, so it has to happen without the lock.
        drop(old);
    }

    /// Ends what [`open`](Self::open) started.
    #[inline]
    pub(crate) fn close(&self, listing: Arc<Listing>) {
        let mut current = self.current.lock();
        // ORDERING: The lock orders it.
        let last = listing.openers.fetch_sub(1, Ordering::Relaxed) == 1;
        let is_current = current
            .as_ref()
            .is_some_and(|current| Arc::ptr_eq(current, &listing));
        let unused = if last && is_current {
            current.take()
        } else {
            None
        };
        drop(current);
        // Freeing may sleep, so it has to happen without the lock.
        drop((unused, listing));
    }
}
