// SPDX-License-Identifier: GPL-2.0

//! The entries of a directory, in an array and with their names in another.
//!
//! An entry takes 16 bytes and its name, and its number is in the end its offset in the directory.

use core::sync::atomic::{
    AtomicU64,
    AtomicU8,
    Ordering, //
};
use kernel::prelude::*;
use stacking::dir_context::DirEntry;

/// What is known of an entry.
#[derive(Clone, Copy)]
pub(crate) enum Mark {
    /// It is in the upper layer.
    Upper = 1,
    /// It is hidden: a whiteout, removed since, or another entry stands for it.
    Hidden = 2,
    /// It may be a whiteout by its xattr, which a lookup says.
    MaybeXattrWhiteout = 4,
    /// The overlay shows another inode number than the layer, which a lookup says.
    OwnNumber = 8,
}

/// An entry.
///
/// Its number is changed before the marks that say that it has to be looked up are taken from it, so
/// that who does not see those sees the number: a release and an acquire of the marks.
pub(crate) struct Entry {
    ino: AtomicU64,
    /// Where its name starts.
    name: u32,
    len: u16,
    kind: u8,
    marks: AtomicU8,
}

impl Entry {
    /// The inode number: the layer's, or once it is known the overlay's.
    #[inline]
    pub(crate) fn ino(&self) -> u64 {
        // ORDERING: See the type.
        self.ino.load(Ordering::Relaxed)
    }

    /// Sets the inode number.
    pub(crate) fn set_ino(&self, ino: u64) {
        // ORDERING: See the type.
        self.ino.store(ino, Ordering::Relaxed);
    }

    /// The type (`DT_*`).
    #[inline]
    pub(crate) fn kind(&self) -> u32 {
        u32::from(self.kind)
    }

    #[inline]
    fn marks(&self) -> u8 {
        // ORDERING: See the type.
        self.marks.load(Ordering::Acquire)
    }

    /// Whether it has `mark`.
    #[inline]
    pub(crate) fn is(&self, mark: Mark) -> bool {
        self.marks() & mark as u8 != 0
    }

    /// Whether it is shown as it is: nothing hides it, and nothing has to be looked up.
    #[inline]
    pub(crate) fn is_plain(&self) -> bool {
        self.marks() & !(Mark::Upper as u8) == 0
    }

    /// Whether it has to be looked up before it is shown.
    #[inline]
    pub(crate) fn needs_lookup(&self) -> bool {
        self.marks() & LOOKUP != 0
    }

    /// Sets `mark`.
    pub(crate) fn set(&self, mark: Mark) {
        // ORDERING: See the type.
        self.marks.fetch_or(mark as u8, Ordering::Release);
    }

    /// Notes that it has been looked up, once its number is set.
    pub(crate) fn set_looked_up(&self) {
        // ORDERING: See the type.
        self.marks.fetch_and(!LOOKUP, Ordering::Release);
    }

    /// Another entry for the same name. This one is only a hidden place from now on.
    pub(crate) fn take(&self) -> Self {
        let taken = Self {
            ino: AtomicU64::new(self.ino()),
            marks: AtomicU8::new(self.marks()),
            ..*self
        };
        // ORDERING: Nobody else sees it yet.
        self.marks.store(Mark::Hidden as u8, Ordering::Relaxed);
        taken
    }
}

/// Marks for which an entry has to be looked up.
const LOOKUP: u8 = Mark::MaybeXattrWhiteout as u8 | Mark::OwnNumber as u8;

/// For how many entries room is made at first: most directories have fewer, and then need no more
/// than one allocation for the entries and one for their names.
const FIRST: usize = 32;

/// The length of names that is counted on.
const USUAL_NAME: usize = 16;

/// Entries in the order in which they are shown.
pub(crate) struct Entries {
    names: KVVec<u8>,
    list: KVVec<Entry>,
}

impl Entries {
    /// No entries.
    pub(crate) const fn new() -> Self {
        Self {
            names: KVVec::new(),
            list: KVVec::new(),
        }
    }

    /// Adds an entry of a layer and returns its number.
    ///
    /// `ENOMEM`, also where the names take more than 4 GiB; `ENAMETOOLONG` for one over 64 KiB.
    pub(crate) fn push(&mut self, entry: DirEntry<'_>, marks: u8) -> Result<u32> {
        let number = u32::try_from(self.list.len()).map_err(|_| ENOMEM)?;
        let name = u32::try_from(self.names.len()).map_err(|_| ENOMEM)?;
        let len = u16::try_from(entry.name.len()).map_err(|_| ENAMETOOLONG)?;
        if self.list.is_empty() {
            self.list.reserve(FIRST, GFP_KERNEL)?;
            self.names.reserve(FIRST * USUAL_NAME, GFP_KERNEL)?;
        }
        self.names.extend_from_slice(entry.name, GFP_KERNEL)?;
        let entry = Entry {
            ino: AtomicU64::new(entry.ino),
            name,
            len,
            kind: u8::try_from(entry.kind).unwrap_or(0),
            marks: AtomicU8::new(marks),
        };
        self.list.push(entry, GFP_KERNEL)?;
        Ok(number)
    }

    /// Adds `entry`, which is called `name` in another list, and returns its number.
    pub(crate) fn push_as(&mut self, entry: &Entry, name: &[u8]) -> Result<u32> {
        let entry = DirEntry {
            name,
            ino: entry.ino(),
            kind: entry.kind(),
        };
        self.push(entry, 0)
    }

    /// Adds an entry whose name is among the names already.
    pub(crate) fn push_known(&mut self, entry: Entry) -> Result {
        Ok(self.list.push(entry, GFP_KERNEL)?)
    }

    /// Moves the first `count` entries behind all others.
    pub(crate) fn put_first_last(&mut self, count: usize) {
        let list = self.list.as_mut_slice();
        // This is `rotate_left`, which may panic.
        if let Some((first, last)) = list.split_at_mut_checked(count) {
            first.reverse();
            last.reverse();
            list.reverse();
        }
    }

    /// The name of one of these entries.
    #[inline]
    pub(crate) fn name(&self, entry: &Entry) -> &[u8] {
        // CAST: `usize` has at least 32 bits.
        let start = entry.name as usize;
        let end = start.saturating_add(usize::from(entry.len));
        self.names.get(start..end).unwrap_or_default()
    }

    /// Entry `number` and those behind it.
    #[inline]
    pub(crate) fn from(&self, number: usize) -> &[Entry] {
        self.list.get(number..).unwrap_or_default()
    }

    /// Entry `number`.
    #[inline]
    pub(crate) fn get(&self, number: usize) -> Option<&Entry> {
        self.list.get(number)
    }

    /// How many there are.
    pub(crate) fn len(&self) -> usize {
        self.list.len()
    }

    /// All entries.
    #[inline]
    pub(crate) fn iter(&self) -> core::slice::Iter<'_, Entry> {
        self.list.iter()
    }

    /// How much memory they take.
    pub(crate) fn bytes(&self) -> usize {
        let list = self.list.capacity().saturating_mul(size_of::<Entry>());
        list.saturating_add(self.names.capacity())
    }

    /// Whether there are none.
    pub(crate) fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    /// Gives back memory that was allocated in advance, if it is worth the copying.
    pub(crate) fn shrink(&mut self) {
        if self.list.capacity() <= FIRST {
            return;
        }
        // Where there is no memory for a smaller copy, the larger one stays.
        let _ = self.names.shrink_to(0, GFP_KERNEL);
        let _ = self.list.shrink_to(0, GFP_KERNEL);
    }
}

#[cfg(rovl_kunit)]
#[kernel::macros::kunit_tests(rovl_readdir_entries)]
mod tests {
    use super::*;

    #[test]
    fn names_and_marks() -> Result {
        let mut entries = Entries::new();
        let names: [&[u8]; 3] = [b"first", b"", b"third"];
        for (ino, name) in (7..).zip(names) {
            let entry = DirEntry {
                name,
                ino,
                kind: DirEntry::CHR,
            };
            entries.push(entry, Mark::Upper as u8)?;
        }
        assert!(entries.iter().map(|entry| entries.name(entry)).eq(names));
        assert!(entries.iter().map(Entry::ino).eq(7..10));
        assert!(entries.iter().all(|entry| entry.kind() == DirEntry::CHR));
        assert!(entries.get(3).is_none());

        let Some(entry) = entries.get(1) else {
            return Err(EINVAL);
        };
        assert!(!entry.needs_lookup());
        entry.set(Mark::OwnNumber);
        assert!(entry.needs_lookup());
        entry.set(Mark::Hidden);
        entry.set_looked_up();
        assert!(!entry.needs_lookup());
        assert!(entry.is(Mark::Hidden) && entry.is(Mark::Upper));
        assert!(!entry.is(Mark::OwnNumber));
        Ok(())
    }

    #[test]
    fn too_long() {
        let Ok(name) = KVVec::from_elem(b'x', 70_000, GFP_KERNEL) else {
            return;
        };
        let entry = DirEntry {
            name: &name,
            ino: 1,
            kind: DirEntry::REG,
        };
        assert_eq!(Entries::new().push(entry, 0), Err(ENAMETOOLONG));
    }
}
