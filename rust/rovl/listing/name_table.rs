// SPDX-License-Identifier: GPL-2.0

//! Which of the layers of a directory have a name, as far as is known: six bytes for each name of each
//! layer.
//!
//! The table is only used to leave out layers that do not have a name. Where two names have the same
//! hash, a layer is asked for nothing.

use kernel::prelude::*;
use vfs::name_hash::NameHasher;

/// The hash of a name and the place of the layer, with the most significant byte first: in the order in
/// which they are sorted.
type Packed = [u8; 6];

/// Bytes above which entries get pages of their own: the allocator of small objects, and that of
/// contiguous pages, have sizes that are powers of two only.
const SMALL: usize = 4096;

/// The most names that one table has. That many take 24 MiB.
const MAX_NAMES: usize = 1 << 22;

/// Where the entries are.
enum Entries {
    Small(KVec<Packed>),
    Large(VVec<Packed>),
}

fn hash_of(entry: &Packed) -> u32 {
    let [a, b, c, d, ..] = *entry;
    u32::from_be_bytes([a, b, c, d])
}

fn place_of(entry: &Packed) -> usize {
    let [.., a, b] = *entry;
    usize::from(u16::from_be_bytes([a, b]))
}

/// The names of the lower layers of a directory.
pub(crate) struct NameTable {
    hasher: NameHasher,
    /// Sorted by hash, then by layer.
    entries: Entries,
    /// The places of the layers whose names are not here, and which are always asked. Sorted.
    asked: KVec<u16>,
    /// How many lower layers the directory had, and in which generation they were found.
    made_of: (usize, u32),
}

impl NameTable {
    /// How many lower layers the directory had when the table was made, and the generation of the layers of the mount in
    /// which they were found, or 0: the places are those of its layers.
    pub(crate) fn made_of(&self) -> (usize, u32) {
        self.made_of
    }

    fn entries(&self) -> &[Packed] {
        match &self.entries {
            Entries::Small(entries) => entries,
            Entries::Large(entries) => entries,
        }
    }

    /// The layers that may have `name`, by their places in the stack of the directory.
    pub(crate) fn layers_with(&self, name: &[u8]) -> LayersWith<'_> {
        let hash = self.hasher.hash(name);
        let entries = self.entries();
        LayersWith {
            hash,
            entries: from_hash(entries, hash),
            asked: &self.asked,
        }
    }

    /// How much memory it takes.
    pub(crate) fn bytes(&self) -> usize {
        let entries = match &self.entries {
            Entries::Small(entries) => entries.capacity(),
            Entries::Large(entries) => entries.capacity(),
        };
        let entries = entries.saturating_mul(size_of::<Packed>());
        let asked = self.asked.capacity().saturating_mul(size_of::<u16>());
        entries
            .saturating_add(asked)
            .saturating_add(size_of::<Self>())
    }
}

/// The entries from the first on whose hash is not below `hash`.
fn from_hash(entries: &[Packed], hash: u32) -> &[Packed] {
    // `partition_point()` adds in a way that may overflow, for the compiler.
    let (mut start, mut left) = (0usize, entries.len());
    while left > 0 {
        let half = left / 2;
        let middle = start.saturating_add(half);
        if entries
            .get(middle)
            .is_some_and(|entry| hash_of(entry) < hash)
        {
            start = middle.saturating_add(1);
            left = left.saturating_sub(half).saturating_sub(1);
        } else {
            left = half;
        }
    }
    entries.get(start..).unwrap_or_default()
}

/// Layers that may have a name, top-down.
pub(crate) struct LayersWith<'a> {
    hash: u32,
    /// From the first with the hash on.
    entries: &'a [Packed],
    asked: &'a [u16],
}

impl LayersWith<'_> {
    /// The first such layer whose place is not below `from`, which is not less than in the call before.
    pub(crate) fn next(&mut self, from: usize) -> Option<usize> {
        let mut known = None;
        while let Some((first, rest)) = self.entries.split_first() {
            if hash_of(first) != self.hash {
                break;
            }
            if place_of(first) >= from {
                known = Some(place_of(first));
                break;
            }
            self.entries = rest;
        }
        let mut asked = None;
        while let Some((first, rest)) = self.asked.split_first() {
            if usize::from(*first) >= from {
                asked = Some(usize::from(*first));
                break;
            }
            self.asked = rest;
        }
        match (known, asked) {
            (Some(known), Some(asked)) => Some(known.min(asked)),
            (known, asked) => known.or(asked),
        }
    }
}

/// A table in the making. Layers are added top-down.
pub(crate) struct TableBuilder {
    hasher: NameHasher,
    made_of: (usize, u32),
    /// Hash and place of each name; hashes are in the upper 32 of 48 bits.
    names: KVVec<u64>,
    asked: KVec<u16>,
    /// The place of the layer that is being added, and how many names there were before.
    layer: u16,
    start: usize,
}

impl TableBuilder {
    /// A table without names, which uses the hashes of `hasher`.
    pub(crate) fn new(hasher: NameHasher) -> Self {
        Self {
            hasher,
            made_of: (0, 0),
            names: KVVec::new(),
            asked: KVec::new(),
            layer: 0,
            start: 0,
        }
    }

    /// Says how many lower layers the directory has, and in which generation they were found.
    pub(crate) fn set_made_of(&mut self, layers: usize, generation: u32) {
        self.made_of = (layers, generation);
    }

    /// Starts with the layer at `place`.
    pub(crate) fn start(&mut self, place: usize) -> Result {
        self.layer = u16::try_from(place)?;
        self.start = self.names.len();
        Ok(())
    }

    /// Adds a name of the layer.
    pub(crate) fn add(&mut self, name: &[u8]) -> Result {
        self.add_hash(self.hasher.hash(name))
    }

    /// Adds a name of the layer by its hash.
    pub(crate) fn add_hash(&mut self, hash: u32) -> Result {
        if self.names.len() >= MAX_NAMES {
            return Err(ENOMEM);
        }
        let name = u64::from(hash) << 16 | u64::from(self.layer);
        Ok(self.names.push(name, GFP_KERNEL)?)
    }

    /// Leaves the layer out: it is to be asked for every name.
    pub(crate) fn leave_out(&mut self) -> Result {
        self.names.truncate(self.start);
        Ok(self.asked.push(self.layer, GFP_KERNEL)?)
    }

    /// Whether all layers were left out.
    pub(crate) fn knows_nothing(&self, layers: usize) -> bool {
        self.asked.len() >= layers
    }

    /// The table.
    pub(crate) fn finish(mut self) -> Result<NameTable> {
        sort(&mut self.names)?;
        let len = self.names.len();
        let packed = self.names.iter().map(|name| {
            let [_, _, packed @ ..] = name.to_be_bytes();
            packed
        });
        let entries = if len.saturating_mul(size_of::<Packed>()) <= SMALL {
            let mut entries = KVec::with_capacity(len, GFP_KERNEL)?;
            for entry in packed {
                entries.push(entry, GFP_KERNEL)?;
            }
            Entries::Small(entries)
        } else {
            let mut entries = VVec::with_capacity(len, GFP_KERNEL)?;
            for entry in packed {
                entries.push(entry, GFP_KERNEL)?;
            }
            Entries::Large(entries)
        };
        Ok(NameTable {
            hasher: self.hasher,
            entries,
            asked: self.asked,
            made_of: self.made_of,
        })
    }
}

/// Sorts by the hash, byte after byte from the last one on. What has the same hash stays in order.
fn sort(names: &mut KVVec<u64>) -> Result {
    let mut other = KVVec::from_elem(0u64, names.len(), GFP_KERNEL)?;
    for byte in 2..6 {
        // CAST: eight bits.
        let digit = |name: u64| usize::from((name >> (8 * byte)) as u8);
        let mut starts = [0u32; 256];
        for &name in names.iter() {
            if let Some(count) = starts.get_mut(digit(name)) {
                *count = count.saturating_add(1);
            }
        }
        let mut sum = 0u32;
        for start in &mut starts {
            let count = *start;
            *start = sum;
            sum = sum.saturating_add(count);
        }
        for &name in names.iter() {
            if let Some(start) = starts.get_mut(digit(name)) {
                // CAST: `usize` has at least 32 bits.
                if let Some(place) = other.get_mut(*start as usize) {
                    *place = name;
                }
                *start = start.saturating_add(1);
            }
        }
        core::mem::swap(names, &mut other);
    }
    Ok(())
}

#[cfg(rovl_kunit)]
#[kernel::macros::kunit_tests(rovl_name_table)]
mod tests {
    use super::*;

    fn layers(table: &NameTable, name: &[u8], count: usize) -> Result<KVec<usize>> {
        let mut found = KVec::new();
        let mut with = table.layers_with(name);
        let mut from = 0;
        while let Some(layer) = with.next(from) {
            assert!(layer < count);
            found.push(layer, GFP_KERNEL)?;
            from = layer + 1;
        }
        Ok(found)
    }

    #[test]
    fn no_false_negatives() -> Result {
        let mut builder = TableBuilder::new(NameHasher::new());
        let name = |number: u32| number.to_le_bytes();
        // Name n is in each layer whose place divides it.
        for layer in 0..40 {
            builder.start(layer)?;
            for number in 0..400u32 {
                if number as usize % (layer + 1) == 0 {
                    builder.add(&name(number))?;
                }
            }
        }
        let table = builder.finish()?;
        for number in 0..400u32 {
            let found = layers(&table, &name(number), 40)?;
            let expected = (0..40).filter(|layer| number as usize % (layer + 1) == 0);
            assert!(found.iter().copied().eq(expected));
        }
        let misses = (1000..3000u32).filter(|&number| {
            let found = layers(&table, &name(number), 40);
            found.is_ok_and(|found| found.is_empty())
        });
        assert!(misses.count() > 1990);
        Ok(())
    }

    #[test]
    fn layers_that_are_left_out() -> Result {
        let mut builder = TableBuilder::new(NameHasher::new());
        for layer in 0..5 {
            builder.start(layer)?;
            builder.add(b"name")?;
            if layer % 2 == 1 {
                builder.leave_out()?;
            }
        }
        assert!(!builder.knows_nothing(5));
        let table = builder.finish()?;
        assert_eq!(&*layers(&table, b"name", 5)?, &[0, 1, 2, 3, 4]);
        assert_eq!(&*layers(&table, b"other", 5)?, &[1, 3]);
        Ok(())
    }

    #[test]
    fn eight_bytes_a_name() -> Result {
        for names in [1000u32, 2000, 20_000] {
            let mut builder = TableBuilder::new(NameHasher::new());
            builder.start(0)?;
            for number in 0..names {
                builder.add(&number.to_le_bytes())?;
            }
            let bytes = builder.finish()?.bytes();
            assert!(bytes <= names as usize * 8);
        }
        Ok(())
    }
}
