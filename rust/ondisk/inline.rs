// SPDX-License-Identifier: GPL-2.0

//! Short byte strings that need no allocation.

use core::fmt;
use core::ops::Deref;

/// At most `N` bytes, held in place.
#[derive(Clone, Copy)]
pub struct Inline<const N: usize> {
    bytes: [u8; N],
    len: usize,
}

impl<const N: usize> Inline<N> {
    pub(crate) const fn new() -> Self {
        Self {
            bytes: [0; N],
            len: 0,
        }
    }

    /// Appends `byte`. Returns whether there was room for it.
    pub(crate) fn push(&mut self, byte: u8) -> bool {
        match self.bytes.get_mut(self.len) {
            Some(slot) => {
                *slot = byte;
                self.len = self.len.saturating_add(1);
                true
            }
            None => false,
        }
    }

    /// Sets it to the pairs that `pair` makes of `from`, as many as fit.
    #[inline]
    pub(crate) fn fill_pairs(&mut self, from: &[u8], pair: impl Fn(u8) -> [u8; 2]) {
        let places = self.bytes.chunks_exact_mut(2);
        for (place, byte) in places.zip(from) {
            place.copy_from_slice(&pair(*byte));
        }
        self.len = from.len().saturating_mul(2).min(N / 2 * 2);
    }

    /// Returns the bytes that are set.
    pub fn as_bytes(&self) -> &[u8] {
        self.bytes.get(..self.len).unwrap_or_default()
    }
}

impl<const N: usize> Default for Inline<N> {
    fn default() -> Self {
        Self::new()
    }
}

impl<const N: usize> fmt::Write for Inline<N> {
    fn write_str(&mut self, s: &str) -> fmt::Result {
        s.bytes()
            .all(|byte| self.push(byte))
            .then_some(())
            .ok_or(fmt::Error)
    }
}

impl<const N: usize> Deref for Inline<N> {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        self.as_bytes()
    }
}

impl<const N: usize> AsRef<[u8]> for Inline<N> {
    fn as_ref(&self) -> &[u8] {
        self.as_bytes()
    }
}

impl<const N: usize> PartialEq for Inline<N> {
    fn eq(&self, other: &Self) -> bool {
        self.as_bytes() == other.as_bytes()
    }
}

impl<const N: usize> Eq for Inline<N> {}

impl<const N: usize> fmt::Debug for Inline<N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "\"{}\"", self.as_bytes().escape_ascii())
    }
}
