// SPDX-License-Identifier: GPL-2.0

//! Hashes of names for short-lived tables.
//!
//! C header: [`include/linux/siphash.h`](srctree/include/linux/siphash.h)

use crate::bindings;

/// Hashes names with a random key (`hsiphash()`), so that nobody can choose names that collide.
#[derive(Clone, Copy)]
pub struct NameHasher {
    key: [u64; 2],
}

impl NameHasher {
    /// A hasher with a key of its own.
    pub fn new() -> Self {
        let random = || {
            // SAFETY: No requirements.
            unsafe { bindings::get_random_u64() }
        };
        Self {
            key: [random(), random()],
        }
    }

    /// The hash of `name`.
    #[inline]
    pub fn hash(&self, name: &[u8]) -> u32 {
        let [a, b] = self.key;
        // SAFETY: The name has that length.
        unsafe { bindings::rvfs_name_hash(name.as_ptr().cast(), name.len(), a, b) }
    }
}

impl Default for NameHasher {
    fn default() -> Self {
        Self::new()
    }
}
