// SPDX-License-Identifier: GPL-2.0

//! What an inode keeps of the names in a directory: its listing, and the table of its names.
//!
//! Both are kept until they are wrong, the inode goes, or memory is short. Then they go in the order in
//! which they were used ([`vfs::lru`]). Each mount keeps so much at most.

use crate::{
    listing::{
        entries::{
            Entries,
            Entry, //
        },
        index::NameIndex,
        name_table::NameTable, //
    },
    observe::{
        stats::{
            Counter,
            Stats, //
        },
        trace::{
            self,
            Dropped, //
        },
    },
};
use core::sync::atomic::{
    AtomicBool,
    AtomicU32,
    Ordering, //
};
use kernel::{
    new_spinlock,
    prelude::*,
    sync::{
        Arc,
        SetOnce,
        SpinLock, //
    },
};
use vfs::lru::{
    Lru,
    Member,
    Reclaim, //
};

/// What a directory held at one time.
///
/// That of a merged directory has all entries, and is not changed but for what a lookup tells of
/// one. That of an impure directory has those entries only whose inode number is not the layer's,
/// with an index.
pub(crate) struct Listing {
    /// [`version`](crate::object::entry::OvlInode::version) of the inode at that time.
    pub(crate) version: u64,
    /// The state of the layers at that time; `None` if a change there cannot be told by it.
    stamp: Option<u64>,
    /// The number of open files that read it. Changed with the lock of the slot held.
    openers: AtomicU32,
    /// An entry is hidden because it could not be looked up.
    failed: AtomicBool,
    pub(crate) entries: Entries,
    index: Option<NameIndex>,
}

impl Listing {
    /// A listing without readers.
    pub(crate) fn new(
        version: u64,
        stamp: Option<u64>,
        entries: Entries,
        index: Option<NameIndex>,
    ) -> Result<Arc<Self>> {
        let listing = Self {
            version,
            stamp,
            openers: AtomicU32::new(0),
            failed: AtomicBool::new(false),
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

    /// Notes the first open file, of a listing that nobody else sees yet.
    pub(crate) fn open(&self) {
        // ORDERING: Published with the listing.
        self.openers.store(1, Ordering::Relaxed);
    }

    /// Notes that an entry is hidden because it could not be looked up, which may be otherwise the next
    /// time. As with the in-tree module, that is for who opens the directory when nobody has it open.
    pub(crate) fn note_failure(&self) {
        // ORDERING: The closing of who notes it comes later, and orders it by the lock.
        self.failed.store(true, Ordering::Relaxed);
    }

    /// Whether it may be kept when nobody reads it.
    fn outlives_readers(&self) -> bool {
        // ORDERING: See where it is set.
        self.stamp.is_some() && !self.failed.load(Ordering::Relaxed)
    }

    /// How much memory it takes.
    pub(crate) fn bytes(&self) -> usize {
        let index = self.index.as_ref().map_or(0, NameIndex::bytes);
        let own = size_of::<Self>();
        self.entries
            .bytes()
            .saturating_add(index)
            .saturating_add(own)
    }

    fn is_open(&self) -> bool {
        // ORDERING: The lock orders it.
        self.openers.load(Ordering::Relaxed) > 0
    }
}

/// What is known of a directory.
#[derive(Default)]
struct Known {
    listing: Option<Arc<Listing>>,
    table: Option<Arc<NameTable>>,
}

impl Known {
    fn take_listing_if(&mut self, unneeded: impl FnOnce(&Listing) -> bool) -> Option<Arc<Listing>> {
        self.listing.take_if(|listing| unneeded(listing))
    }
}

/// The same where it can be given up.
#[pin_data]
pub(crate) struct Kept {
    #[pin]
    known: SpinLock<Known>,
    stats: Arc<Stats>,
    /// The number of the directory.
    ino: u64,
}

impl Kept {
    fn new(stats: Arc<Stats>, ino: u64) -> impl PinInit<Self, Error> {
        try_pin_init!(Self {
            known <- new_spinlock!(Known::default(), "Kept::known"),
            stats,
            ino,
        })
    }

    /// Takes account of what was given up, and returns the number of its bytes.
    fn gave_up(
        &self,
        listing: Option<&Arc<Listing>>,
        table: Option<&Arc<NameTable>>,
        why: Dropped,
    ) -> usize {
        if let Some(listing) = listing {
            self.stats.count(Counter::ListingsDropped);
            trace::listing_dropped(self.stats.place(self.ino), listing.bytes(), why);
        }
        if let Some(table) = table {
            self.stats.count(Counter::NameTablesDropped);
            trace::name_table_dropped(self.stats.place(self.ino), table.bytes(), why);
        }
        bytes_of(listing, table)
    }
}

impl Reclaim for Kept {
    fn reclaim(&self, all: bool) -> usize {
        let mut known = self.known.lock();
        let listing = known.take_listing_if(|listing| all || !listing.is_open());
        let table = known.table.take();
        drop(known);
        // Freeing may sleep, so it has to happen without the lock.
        let why = if all { Dropped::Inode } else { Dropped::Memory };
        self.gave_up(listing.as_ref(), table.as_ref(), why)
    }

    fn is_worth_keeping(&self) -> bool {
        let known = self.known.lock();
        known.listing.is_some() || known.table.is_some()
    }
}

fn bytes_of(listing: Option<&Arc<Listing>>, table: Option<&Arc<NameTable>>) -> usize {
    let listing = listing.map_or(0, |listing| listing.bytes());
    listing.saturating_add(table.map_or(0, |table| table.bytes()))
}

/// The smallest part of what is kept that the kernel's shrinker is told of.
const UNIT: usize = 512;

/// All that the inodes of one mount keep.
pub(crate) struct Keeper {
    lru: Arc<Lru<Kept>>,
    limit: usize,
    stats: Arc<Stats>,
}

impl Keeper {
    /// Of a new mount, which counts in `stats`.
    pub(crate) fn new(stats: Arc<Stats>) -> Result<Self> {
        Ok(Self {
            lru: Lru::new()?,
            limit: vfs::lru::memory() / 64,
            stats,
        })
    }

    /// How many bytes are kept.
    pub(crate) fn bytes(&self) -> usize {
        self.lru.bytes()
    }

    /// How many objects there are, as the shrinker counts.
    pub(crate) fn count(&self) -> usize {
        self.lru.bytes() / UNIT
    }

    /// Gives up so many.
    pub(crate) fn free(&self, count: usize) -> usize {
        self.lru.reclaim(count.saturating_mul(UNIT)) / UNIT
    }

    fn limit(&self) {
        let above = self.lru.bytes().saturating_sub(self.limit);
        if above > 0 {
            self.lru.reclaim(above);
        }
    }
}

/// Where an inode keeps what is known of the names of a directory.
pub(crate) struct CacheSlot {
    kept: SetOnce<Member<Kept>>,
}

impl CacheSlot {
    /// Nothing kept.
    pub(crate) const fn new() -> Self {
        Self {
            kept: SetOnce::new(),
        }
    }

    /// The listing of version `version`, if `stamp` is that of the layers still.
    pub(crate) fn get(&self, version: u64, stamp: Option<u64>) -> Option<Arc<Listing>> {
        let member = self.kept.as_ref()?;
        member.touch();
        let known = member.known.lock();
        known
            .listing
            .as_ref()
            .filter(|listing| listing.is(version, stamp))
            .cloned()
    }

    /// Like [`get`](Self::get), for one more open file.
    pub(crate) fn open(&self, version: u64, stamp: Option<u64>) -> Option<Arc<Listing>> {
        let member = self.kept.as_ref()?;
        member.touch();
        let known = member.known.lock();
        let listing = known
            .listing
            .as_ref()
            .filter(|listing| listing.is(version, stamp))?;
        // ORDERING: The lock orders it.
        listing.openers.fetch_add(1, Ordering::Relaxed);
        Some(listing.clone())
    }

    /// Keeps `listing` instead of what was kept. Without effect where there is no memory.
    pub(crate) fn set_listing(&self, keeper: &Keeper, ino: u64, listing: Option<Arc<Listing>>) {
        let new = bytes_of(listing.as_ref(), None);
        let Some(member) = self.member(keeper, ino, new > 0) else {
            return;
        };
        if new > 0 {
            keeper.stats.count(Counter::ListingsBuilt);
            trace::listing_built(keeper.stats.place(ino), new);
        }
        let old = core::mem::replace(&mut member.known.lock().listing, listing);
        member.dropped(member.gave_up(old.as_ref(), None, Dropped::Changed));
        drop(old);
        if new > 0 {
            member.kept(new);
            keeper.limit();
        }
    }

    /// Ends what [`open`](Self::open) started. The last one drops a listing that cannot be kept.
    #[inline]
    pub(crate) fn close(&self, listing: Arc<Listing>) {
        let Some(member) = self.kept.as_ref() else {
            return;
        };
        let mut known = member.known.lock();
        // ORDERING: The lock orders it.
        let last = listing.openers.fetch_sub(1, Ordering::Relaxed) == 1;
        let unused = if last && !listing.outlives_readers() {
            known.take_listing_if(|current| core::ptr::eq(current, &*listing))
        } else {
            None
        };
        drop(known);
        member.dropped(member.gave_up(unused.as_ref(), None, Dropped::Changed));
        // Freeing may sleep, so it has to happen without the lock.
        drop((unused, listing));
    }

    /// The table of the names in the lower layers.
    // Each lookup asks, and for most directories nothing is kept.
    #[inline]
    pub(crate) fn table(&self) -> Option<Arc<NameTable>> {
        Self::table_of(self.kept.as_ref()?)
    }

    fn table_of(member: &Member<Kept>) -> Option<Arc<NameTable>> {
        let table = member.known.lock().table.clone()?;
        member.touch();
        Some(table)
    }

    /// Keeps `table` instead of what was kept. Without effect where there is no memory.
    pub(crate) fn set_table(&self, keeper: &Keeper, ino: u64, table: Option<NameTable>) {
        let table = table.and_then(|table| Arc::new(table, GFP_KERNEL).ok());
        let new = bytes_of(None, table.as_ref());
        let Some(member) = self.member(keeper, ino, new > 0) else {
            return;
        };
        if new > 0 {
            keeper.stats.count(Counter::NameTablesBuilt);
            trace::name_table_built(keeper.stats.place(ino), new);
        }
        let old = core::mem::replace(&mut member.known.lock().table, table);
        member.dropped(member.gave_up(None, old.as_ref(), Dropped::Changed));
        drop(old);
        if new > 0 {
            member.kept(new);
            keeper.limit();
        }
    }

    /// What is kept, or a place for it if `make`.
    fn member(&self, keeper: &Keeper, ino: u64, make: bool) -> Option<&Member<Kept>> {
        if self.kept.as_ref().is_none() && make {
            let member = Member::new(&keeper.lru, Kept::new(keeper.stats.clone(), ino)).ok()?;
            // One that somebody else has made will do, if it can be seen already.
            self.kept.populate(member);
        }
        self.kept.as_ref()
    }
}

impl Listing {
    fn is(&self, version: u64, stamp: Option<u64>) -> bool {
        self.version == version
            && (self.is_open() || self.outlives_readers())
            && self.stamp == stamp
    }
}
