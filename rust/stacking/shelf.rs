// SPDX-License-Identifier: GPL-2.0

//! A list that only grows, and is read without a lock.

use core::sync::atomic::{
    AtomicUsize,
    Ordering, //
};
use kernel::{
    prelude::*,
    sync::SetOnce, //
};

/// How many members are allocated at a time.
const CHUNK: usize = 32;

/// A list that grows at its end, up to a limit that is known from the start. What is in it stays where it is
/// until the list goes.
pub struct Shelf<T> {
    chunks: KVVec<SetOnce<KVec<SetOnce<T>>>>,
    len: AtomicUsize,
}

impl<T> Shelf<T> {
    /// An empty list that never takes anything.
    pub const fn none() -> Self {
        Self {
            chunks: KVVec::new(),
            len: AtomicUsize::new(0),
        }
    }

    /// An empty list with room for `members` at least.
    pub fn with_room(members: usize) -> Result<Self> {
        let count = members.div_ceil(CHUNK);
        let mut chunks = KVVec::with_capacity(count, GFP_KERNEL)?;
        for _ in 0..count {
            chunks.push(SetOnce::new(), GFP_KERNEL)?;
        }
        Ok(Self {
            chunks,
            len: AtomicUsize::new(0),
        })
    }

    /// How many it can take in all.
    pub fn room(&self) -> usize {
        self.chunks.len().saturating_mul(CHUNK)
    }

    /// How many there are. Who sees the number sees the members.
    #[inline]
    pub fn len(&self) -> usize {
        // ORDERING: Acquire pairs with the Release in `add`.
        self.len.load(Ordering::Acquire)
    }

    /// Whether there is none.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The member with the number `place`.
    #[inline]
    pub fn get(&self, place: usize) -> Option<&T> {
        let chunk = self.chunks.get(place / CHUNK)?.as_ref()?;
        chunk.get(place % CHUNK)?.as_ref()
    }

    /// All members, in the order in which they came.
    pub fn iter(&self) -> impl Iterator<Item = &T> {
        (0..self.len()).filter_map(|place| self.get(place))
    }

    /// Makes room for the next one, so that [`add`](Self::add) cannot fail for lack of memory.
    ///
    /// Returns `ENOSPC` where there are as many as there can be. Only one task may call this or `add` at a time,
    /// else that may be so, too.
    pub fn reserve(&self) -> Result {
        let slot = self.chunks.get(self.len() / CHUNK).ok_or(ENOSPC)?;
        if slot.as_ref().is_some() {
            return Ok(());
        }
        let mut chunk = KVec::with_capacity(CHUNK, GFP_KERNEL)?;
        for _ in 0..CHUNK {
            chunk.push(SetOnce::new(), GFP_KERNEL)?;
        }
        if slot.populate(chunk) {
            Ok(())
        } else {
            Err(ENOSPC)
        }
    }

    /// Adds a member and returns its number.
    ///
    /// Returns what [`reserve`](Self::reserve) returns, and lets go of `member` then.
    pub fn add(&self, member: T) -> Result<usize> {
        self.reserve()?;
        let place = self.len();
        let chunk = self.chunks.get(place / CHUNK).and_then(SetOnce::as_ref);
        let slot = chunk.and_then(|chunk| chunk.get(place % CHUNK));
        if !slot.ok_or(ENOSPC)?.populate(member) {
            return Err(ENOSPC);
        }
        // ORDERING: Release, see `len`.
        self.len.store(place.saturating_add(1), Ordering::Release);
        Ok(place)
    }
}
