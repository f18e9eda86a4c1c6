// SPDX-License-Identifier: GPL-2.0

//! Finding entries by name: a hash table with open addressing.

use kernel::prelude::*;
use vfs::name_hash::NameHasher;

/// A place in the table.
#[derive(Clone, Copy, Zeroable)]
struct Slot {
    hash: u32,
    /// The number of the entry plus one, or zero where the place is free.
    entry: u32,
}

/// The table. It knows the numbers of entries and the hashes of their names; the names themselves
/// are compared by whoever asks.
///
/// The number of places is a power of two, or zero, and a quarter of them is free.
pub(crate) struct NameIndex {
    hasher: NameHasher,
    slots: KVVec<Slot>,
    used: usize,
}

impl NameIndex {
    /// An empty table, which needs no memory.
    pub(crate) fn new() -> Self {
        Self {
            hasher: NameHasher::new(),
            slots: KVVec::new(),
            used: 0,
        }
    }

    /// What hashes the names.
    pub(crate) fn hasher(&self) -> NameHasher {
        self.hasher
    }

    /// How much memory it takes.
    pub(crate) fn bytes(&self) -> usize {
        self.slots.capacity().saturating_mul(size_of::<Slot>())
    }

    /// Whether it has no entries.
    pub(crate) fn is_empty(&self) -> bool {
        self.used == 0
    }

    /// The hash of a name.
    #[inline]
    pub(crate) fn hash(&self, name: &[u8]) -> u32 {
        self.hasher.hash(name)
    }

    /// The places in the order in which they are tried for `hash`.
    fn places(&self, hash: u32) -> impl Iterator<Item = usize> {
        let mask = self.slots.len().wrapping_sub(1);
        // CAST: `usize` has at least 32 bits.
        let first = hash as usize;
        (0..self.slots.len()).map(move |step| first.wrapping_add(step) & mask)
    }

    /// Looks for the entry with `hash` for which `is_it` holds.
    #[inline]
    pub(crate) fn find(&self, hash: u32, is_it: impl Fn(u32) -> bool) -> Option<u32> {
        for place in self.places(hash) {
            let slot = self.slots.get(place)?;
            let entry = slot.entry.checked_sub(1)?;
            if slot.hash == hash && is_it(entry) {
                return Some(entry);
            }
        }
        None
    }

    /// Adds an entry that is not in it.
    pub(crate) fn insert(&mut self, hash: u32, entry: u32) -> Result {
        let entry = entry.checked_add(1).ok_or(ENOMEM)?;
        if self.used >= self.slots.len() / 4 * 3 {
            self.grow()?;
        }
        self.place(Slot { hash, entry });
        self.used = self.used.saturating_add(1);
        Ok(())
    }

    /// Puts an entry into the first free place.
    fn place(&mut self, new: Slot) {
        for place in self.places(new.hash) {
            if let Some(slot) = self.slots.get_mut(place) {
                if slot.entry == 0 {
                    *slot = new;
                    return;
                }
            }
        }
    }

    fn grow(&mut self) -> Result {
        let len = self.slots.len().checked_mul(4).ok_or(ENOMEM)?.max(64);
        let slots = KVVec::<Slot>::zeroed(len, GFP_KERNEL)?;
        let old = core::mem::replace(&mut self.slots, slots);
        for slot in old.iter().filter(|slot| slot.entry != 0) {
            self.place(*slot);
        }
        Ok(())
    }
}

#[cfg(rovl_kunit)]
#[kernel::macros::kunit_tests(rovl_readdir_index)]
mod tests {
    use super::*;

    #[test]
    fn finds_what_was_added() -> Result {
        let mut index = NameIndex::new();
        assert!(index.is_empty());
        let hash = |entry: u32| entry.wrapping_mul(0x9e37_79b9);
        for entry in 0..1000 {
            assert_eq!(index.find(hash(entry), |found| found == entry), None);
            index.insert(hash(entry), entry)?;
        }
        for entry in 0..1000 {
            assert_eq!(index.find(hash(entry), |found| found == entry), Some(entry));
        }
        assert_eq!(index.find(hash(1000), |_| true), None);
        Ok(())
    }

    #[test]
    fn equal_hashes() -> Result {
        let mut index = NameIndex::new();
        for entry in 0..200 {
            index.insert(u32::MAX, entry)?;
        }
        for entry in 0..200 {
            assert_eq!(index.find(u32::MAX, |found| found == entry), Some(entry));
        }
        assert_eq!(index.find(u32::MAX, |_| false), None);
        assert_eq!(index.find(u32::MAX - 1, |_| true), None);
        Ok(())
    }

    #[test]
    fn keys_differ() {
        let (a, b) = (NameIndex::new(), NameIndex::new());
        let names: [&[u8]; 4] = [b"", b"a", b"file", b"a much longer name than the others"];
        assert!(names.iter().any(|name| a.hash(name) != b.hash(name)));
        assert!(names.iter().all(|name| a.hash(name) == a.hash(name)));
    }
}
