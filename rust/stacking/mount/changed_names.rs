// SPDX-License-Identifier: GPL-2.0

//! Names in the roots of layers that came or went.
//!
//! What a name in the root of the mount leads to can have changed only if it is one of them. They are kept as a Bloom
//! filter, with one bit for the hash of a name: another name that has the same is looked up again for nothing.

use super::LayerMounts;
use core::sync::atomic::{
    fence,
    AtomicU32,
    AtomicUsize,
    Ordering, //
};
use kernel::prelude::*;

/// How many bits there are, as a power of two.
const BITS_LOG: u32 = 13;

/// How many names are noted at most: of those that are none of them, one of sixteen is taken for one then.
const MAX_NAMES: usize = 1 << (BITS_LOG - 4);

/// Hashes of the names that have changed.
///
/// It is changed while the generation is odd, and read without a lock: what was read counts if the generation is an
/// even one before and afterwards, and the same.
pub(super) struct ChangedNames {
    bits: KVec<AtomicUsize>,
    /// How many names were noted.
    len: AtomicUsize,
    /// They are those of all changes after this generation.
    since: AtomicU32,
}

impl ChangedNames {
    /// Without room, of a mount whose layers do not change.
    pub(super) const fn none() -> Self {
        Self {
            bits: KVec::new(),
            len: AtomicUsize::new(0),
            since: AtomicU32::new(0),
        }
    }

    /// No name has changed since the mount.
    pub(super) fn with_room() -> Result<Self> {
        let words = (1usize << BITS_LOG).div_ceil(usize::BITS as usize);
        let mut bits = KVec::with_capacity(words, GFP_KERNEL)?;
        for _ in 0..words {
            bits.push(AtomicUsize::new(0), GFP_KERNEL)?;
        }
        Ok(Self {
            bits,
            ..Self::none()
        })
    }

    /// The word and the bit of a hash.
    #[inline]
    fn place(hash: u32) -> (usize, usize) {
        // A hash of the VFS may be poor in any of its bits (`hash_32()`).
        let bit = (hash.wrapping_mul(0x61c8_8647) >> (u32::BITS - BITS_LOG)) as usize;
        (
            bit / usize::BITS as usize,
            1 << (bit % usize::BITS as usize),
        )
    }

    /// Whether the name with this hash may have changed since `generation`.
    #[inline]
    fn may_have(&self, hash: u32, generation: u32) -> bool {
        // ORDERING: See `may_have_changed`, also below.
        if generation < self.since.load(Ordering::Relaxed) {
            return true;
        }
        let (word, bit) = Self::place(hash);
        let word = self.bits.get(word);
        word.is_none_or(|word| word.load(Ordering::Relaxed) & bit != 0)
    }

    fn clear(&self, since: u32) {
        // ORDERING: See `may_have_changed`, also below.
        for word in &self.bits {
            word.store(0, Ordering::Relaxed);
        }
        self.len.store(0, Ordering::Relaxed);
        self.since.store(since, Ordering::Relaxed);
    }

    fn add(&self, hashes: &[u32]) {
        for &hash in hashes {
            let (word, bit) = Self::place(hash);
            if let Some(word) = self.bits.get(word) {
                // ORDERING: See `may_have_changed`, also below.
                word.fetch_or(bit, Ordering::Relaxed);
            }
        }
        self.len.fetch_add(hashes.len(), Ordering::Relaxed);
    }
}

impl LayerMounts {
    /// The most names that [`note_changed_names`](Self::note_changed_names) can tell apart from others.
    pub const MAX_CHANGED_NAMES: usize = MAX_NAMES;

    /// Notes which names in the root have changed, as their hashes
    /// ([`hash_of_name`](vfs::dentry::Dentry::hash_of_name)): those in the roots of all layers that come or go. `None`
    /// where that is not known. To be called between both calls of [`step_generation`](Self::step_generation).
    pub fn note_changed_names(&self, hashes: Option<&[u32]>) {
        // ORDERING: Of this task.
        let odd = self.generation.load(Ordering::Relaxed);
        // ORDERING: Who sees what follows sees that the generation is odd.
        fence(Ordering::Release);
        let names = &self.changed_names;
        // ORDERING: As above.
        let len = names.len.load(Ordering::Relaxed);
        match hashes.filter(|hashes| hashes.len() <= MAX_NAMES) {
            Some(hashes) => {
                if len.saturating_add(hashes.len()) > MAX_NAMES {
                    names.clear(odd.wrapping_sub(1));
                }
                names.add(hashes);
            }
            None => names.clear(odd.wrapping_add(1)),
        }
    }

    /// Whether the name with this hash, in the root, may have changed from the generation `from` to `to`, which is the
    /// one that there is; and if it is not any more.
    #[inline]
    pub(crate) fn may_have_changed(&self, hash: u32, (from, to): (u32, u32)) -> bool {
        let may_have = self.changed_names.may_have(hash, from);
        // ORDERING: Who has seen something that was noted after that sees another generation.
        fence(Ordering::Acquire);
        may_have || self.generation() != to
    }
}
