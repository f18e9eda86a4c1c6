// SPDX-License-Identifier: GPL-2.0

//! Merging the entries of all layers of a directory.
//!
//! The layers are read once each, from the top. The entries of the lowest one come first, also those
//! that a layer above has too: as they rarely change, offsets stay what they are when something is
//! added above.

use crate::{
    listing::{
        entries::{
            Entries,
            Mark, //
        },
        index::NameIndex,
        name_table::TableBuilder, //
    },
    object::{
        entry::{
            DentryExt,
            DentryFlag,
            Flag,
            InodeExt, //
        },
        ino_space::InoSpace,
        reason,
        super_data::Super, //
    },
    readdir::{
        name_keys::NameKeys,
        table, //
    },
    Rovl, //
};
use core::sync::atomic::Ordering;
use kernel::prelude::*;
use stacking::{
    cred::AsMounter,
    dir_context::DirEntry,
    path::LayerPath,
    prelude::*,
    stack::LowerEntry, //
};
use vfs::dentry::Dentry;

/// What the entries are read for.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Purpose {
    /// To be shown.
    Show,
    /// To find out whether there is anything to be shown, which gives `ENOTEMPTY` if all layers can be
    /// read. What comes after the first such entry is not kept.
    FindOne,
}

/// Whether a layer holds what may be a whiteout by its xattr.
fn has_xattr_whiteouts(dentry: &Dentry<Rovl>, layer: usize) -> bool {
    let ofs = dentry.sb().data();
    // ORDERING: Set before the dentry was published, like its flag.
    ofs.layer_info(layer)
        .is_some_and(|layer| layer.has_xwhiteouts.load(Ordering::Relaxed))
        && dentry.has(DentryFlag::Xwhiteouts)
}

/// What matters of a layer while it is read.
#[derive(Clone, Copy)]
struct Reading {
    upper: bool,
    /// It was the upper one, so that what is known since then has the number that it had; or its file system came
    /// with it, and a directory has a number that is given to it.
    former: bool,
    lowest: bool,
    xattr_whiteouts: bool,
}

/// The merging of the layers of one directory.
struct Merge<'a> {
    purpose: Purpose,
    keys: NameKeys<'a>,
    /// Which inode numbers are shown.
    ino_space: InoSpace,
    /// Whether entries of the upper layer may have been copied up.
    impure: bool,
    /// The entries of the layers so far.
    entries: Entries,
    /// When it comes to the lowest layer: how many entries those above have.
    above: usize,
    /// The numbers of the entries above the lowest layer.
    index: NameIndex,
    /// Numbers of devices in the layer that is being read: they may be whiteouts.
    devices: KVVec<u32>,
    /// There is something to be shown, where only that matters.
    found: bool,
    /// The table of the names in the lower layers, if one is wanted.
    table: Option<TableBuilder>,
    /// The layer that is being read gets into the table.
    tabled: bool,
}

impl<'a> Merge<'a> {
    fn new(purpose: Purpose, keys: NameKeys<'a>, ino_space: InoSpace, impure: bool) -> Self {
        Self {
            purpose,
            keys,
            ino_space,
            impure,
            entries: Entries::new(),
            above: 0,
            index: NameIndex::new(),
            devices: KVVec::new(),
            found: false,
            table: None,
            tabled: false,
        }
    }

    /// The marks of a new entry.
    fn marks(&self, entry: &DirEntry<'_>, layer: Reading) -> u8 {
        let Reading {
            upper,
            former,
            xattr_whiteouts,
            ..
        } = layer;
        let own_number = match entry.name {
            // The lookup tells the file system. What cannot be found is not listed then: files whose
            // data is nowhere, and what a lower overlay only lists.
            _ if matches!(self.ino_space, InoSpace::Xino(_)) => true,
            b".." => true,
            b"." => upper || former,
            // A directory that is merged may have got its origin just now.
            _ => (upper && self.impure) || former,
        };
        let mut marks = 0;
        if upper {
            marks |= Mark::Upper as u8;
        }
        if own_number && self.ino_space.is_one_device() {
            marks |= Mark::OwnNumber as u8;
        }
        if xattr_whiteouts && entry.kind == DirEntry::REG {
            marks |= Mark::MaybeXattrWhiteout as u8;
        }
        marks
    }

    /// Adds an entry whose name has not been seen.
    #[inline]
    fn push(&mut self, entry: DirEntry<'_>, marks: u8) -> Result<u32> {
        let is_device = entry.kind == DirEntry::CHR;
        if self.purpose == Purpose::FindOne && !is_device && !entry.is_dot_or_dotdot() {
            return Err(ENOTEMPTY);
        }
        let number = self.entries.push(entry, marks)?;
        if is_device {
            self.devices.push(number, GFP_KERNEL)?;
        }
        Ok(number)
    }

    /// Adds an entry of a layer that is not the lowest.
    fn add(&mut self, entry: DirEntry<'_>, marks: u8) -> Result {
        let (index, entries, keys) = (&self.index, &self.entries, self.keys);
        let (hash, found) = keys.with(entry.name, |key| {
            let is_it = |number: u32| {
                // CAST: `usize` has at least 32 bits.
                let known = entries.get(number as usize);
                known.is_some_and(|known| keys.with(entries.name(known), |known| known == key))
            };
            let hash = index.hash(key);
            (hash, index.find(hash, is_it))
        });
        self.note(&entry, hash);
        if found.is_some() {
            return Ok(());
        }
        let number = self.push(entry, marks)?;
        self.index.insert(hash, number)
    }

    /// Notes that the lowest layer comes next.
    fn start_lowest(&mut self) {
        self.above = self.entries.len();
    }

    /// Puts a name into the table, or gives that up where it cannot be.
    #[inline]
    fn note(&mut self, entry: &DirEntry<'_>, hash: u32) {
        if !self.tabled || entry.is_dot_or_dotdot() {
            return;
        }
        let added = self.table.as_mut().map(|table| table.add_hash(hash));
        if added.is_none_or(|added| added.is_err()) {
            (self.table, self.tabled) = (None, false);
        }
    }

    /// Adds an entry of the lowest layer, or in its place that of a layer above.
    fn add_lowest(&mut self, entry: DirEntry<'_>, marks: u8) -> Result {
        if self.tabled {
            self.note(&entry, self.index.hash(entry.name));
        }
        if !self.index.is_empty() {
            let (index, entries, keys) = (&self.index, &self.entries, self.keys);
            // CAST: `usize` has at least 32 bits.
            let get = |number: u32| entries.get(number as usize);
            let found = keys.with(entry.name, |key| {
                let is_key = |known| keys.with(entries.name(known), |known| known == key);
                index.find(index.hash(key), |number| get(number).is_some_and(is_key))
            });
            if let Some(known) = found.and_then(get) {
                let moved = known.take();
                return self.entries.push_known(moved);
            }
        }
        self.push(entry, marks).map(|_| ())
    }

    /// Reads one layer.
    fn read(&mut self, m: &AsMounter, path: LayerPath<'_>, layer: Reading) -> Result {
        if layer.lowest {
            self.start_lowest();
        }
        self.devices.clear();
        path.read_dir(m, |entry| {
            // An empty directory then needs no memory.
            if self.found || (self.purpose == Purpose::FindOne && entry.is_dot_or_dotdot()) {
                return Ok(());
            }
            let marks = self.marks(&entry, layer);
            let added = if layer.lowest {
                self.add_lowest(entry, marks)
            } else {
                self.add(entry, marks)
            };
            // An error of what has not been read yet comes first.
            self.found = added == Err(ENOTEMPTY);
            if self.found {
                return Ok(());
            }
            added
        })?;
        self.find_whiteouts(m, path)
    }

    /// Hides those devices of a layer that are whiteouts.
    fn find_whiteouts(&self, m: &AsMounter, path: LayerPath<'_>) -> Result {
        for &number in self.devices.iter() {
            // CAST: `usize` has at least 32 bits.
            let Some(entry) = self.entries.get(number as usize) else {
                continue;
            };
            match path.lookup_positive_killable(m, self.entries.name(entry)) {
                Ok(dentry) if dentry.is_whiteout_device() => entry.set(Mark::Hidden),
                Err(err) if err == EINTR => return Err(err),
                _ => {}
            }
        }
        Ok(())
    }

    /// Prepares the table for the layer that is read next, with the entry `entry` at `place`.
    fn start_table(
        &mut self,
        m: &AsMounter,
        ofs: &Super,
        entry: &LowerEntry,
        place: usize,
        path: LayerPath<'_>,
    ) {
        self.tabled = false;
        let Some(table) = &mut self.table else {
            return;
        };
        self.tabled = table::may_know(m, ofs, entry, path);
        let mut started = table.start(place);
        if !self.tabled {
            started = started.and_then(|()| table.leave_out());
        }
        if started.is_err() {
            (self.table, self.tabled) = (None, false);
        }
    }

    /// All entries, those of the lowest layer first.
    fn finish(mut self) -> Entries {
        self.entries.put_first_last(self.above);
        self.entries
    }
}

/// Reads all layers of a directory.
pub(crate) fn read(m: &AsMounter, dentry: &Dentry<Rovl>, purpose: Purpose) -> Result<Entries> {
    let inode = dentry.positive()?;
    let ofs = inode.ofs();
    let keys = NameKeys::of(dentry.sb());
    let impure = inode.data().test(Flag::Impure);
    let mut merge = Merge::new(purpose, keys, ofs.ino_space, impure);
    // Before the layers, see `table`.
    let generation = inode.generations().1;
    let real = inode.real();
    let lower = real.lower().as_slice();
    if purpose == Purpose::Show && table::is_wanted(inode) {
        merge.table = Some(TableBuilder::new(merge.index.hasher()));
    }
    if let Some(path) = real.upper_path() {
        let layer = Reading {
            upper: true,
            former: false,
            lowest: lower.is_empty(),
            xattr_whiteouts: has_xattr_whiteouts(dentry, 0),
        };
        merge.read(m, path, layer)?;
    }
    for (index, entry) in lower.iter().enumerate() {
        let layer = Reading {
            upper: false,
            former: ofs.mounts.was_upper(entry.layer()) || ofs.came_later(ofs.fsid(entry.layer())),
            lowest: index.saturating_add(1) == lower.len(),
            xattr_whiteouts: has_xattr_whiteouts(dentry, entry.layer()),
        };
        let path = ofs.lower_path(entry).ok_or(reason::NO_SUCH_LAYER)?;
        merge.start_table(m, ofs, entry, index, path);
        merge.read(m, path, layer)?;
    }
    if merge.found {
        return Err(ENOTEMPTY);
    }
    if let Some(table) = merge.table.take() {
        table::keep(inode, (lower.len(), generation), table);
    }
    Ok(merge.finish())
}

#[cfg(rovl_kunit)]
#[kernel::macros::kunit_tests(rovl_readdir_merged)]
mod tests {
    use super::*;
    use crate::listing::entries::Entry;

    const AS_THEY_ARE: NameKeys<'_> = NameKeys::as_they_are();
    const UPPER: Reading = Reading {
        upper: true,
        former: false,
        lowest: false,
        xattr_whiteouts: false,
    };
    const LOWEST: Reading = Reading {
        upper: false,
        former: false,
        lowest: true,
        xattr_whiteouts: true,
    };

    fn entry(name: &[u8], ino: u64) -> DirEntry<'_> {
        DirEntry {
            name,
            ino,
            kind: DirEntry::REG,
        }
    }

    fn numbers(entries: &Entries, expected: &[u64]) -> bool {
        let shown = entries.iter().filter(|entry| !entry.is(Mark::Hidden));
        shown.map(Entry::ino).eq(expected.iter().copied())
    }

    #[test]
    fn lowest_comes_first() -> Result {
        let mut merge = Merge::new(Purpose::Show, AS_THEY_ARE, InoSpace::OneFs, false);
        for (name, ino) in [(b"a", 1), (b"b", 2), (b"c", 3), (b"a", 4)] {
            merge.add(entry(name, ino), 0)?;
        }
        merge.start_lowest();
        for (name, ino) in [(b"b", 12), (b"d", 14), (b"b", 15), (b"a", 11)] {
            merge.add_lowest(entry(name, ino), 0)?;
        }
        assert!(numbers(&merge.finish(), &[2, 14, 1, 3]));
        Ok(())
    }

    #[test]
    fn hidden_stay_hidden() -> Result {
        let mut merge = Merge::new(Purpose::Show, AS_THEY_ARE, InoSpace::OneFs, false);
        merge.add(entry(b"a", 1), Mark::Upper as u8)?;
        if let Some(entry) = merge.entries.get(0) {
            entry.set(Mark::Hidden);
        }
        merge.start_lowest();
        merge.add_lowest(entry(b"a", 2), 0)?;
        assert!(numbers(&merge.finish(), &[]));
        Ok(())
    }

    #[test]
    fn one_is_enough() {
        let mut merge = Merge::new(Purpose::FindOne, AS_THEY_ARE, InoSpace::OneFs, false);
        assert!(merge.add(entry(b".", 1), 0).is_ok());
        assert!(merge.add(entry(b"..", 2), 0).is_ok());
        let device = DirEntry {
            kind: DirEntry::CHR,
            ..entry(b"a", 3)
        };
        assert!(merge.add(device, 0).is_ok());
        // A whiteout may hide it.
        assert!(merge.add(entry(b"a", 4), 0).is_ok());
        assert_eq!(merge.add(entry(b"b", 5), 0), Err(ENOTEMPTY));
    }

    #[test]
    fn numbers_that_a_lookup_tells() {
        let own = |ino_space, impure, name, layer| {
            let merge = Merge::new(Purpose::Show, AS_THEY_ARE, ino_space, impure);
            merge.marks(&entry(name, 1), layer) & Mark::OwnNumber as u8 != 0
        };
        assert!(own(InoSpace::OneFs, false, b"..", LOWEST));
        assert!(!own(InoSpace::OneFs, true, b".", LOWEST));
        assert!(!own(InoSpace::OneFs, true, b"a", LOWEST));
        assert!(own(InoSpace::OneFs, false, b".", UPPER));
        assert!(!own(InoSpace::OneFs, false, b"a", UPPER));
        assert!(own(InoSpace::OneFs, true, b"a", UPPER));
        assert!(!own(InoSpace::Devices(1), true, b"a", UPPER));
        assert!(!own(InoSpace::Devices(1), true, b"..", UPPER));
    }
}
