// SPDX-License-Identifier: GPL-2.0

//! The `protattr` xattr: the append-only and immutable flags of an upper inode.
//!
//! They are kept off the real inode, where they would stop the overlay itself from changing it.

use crate::error::impl_fault;
use crate::inline::Inline;

/// The length of the longest value.
pub const MAX_LEN: usize = 32;

/// The value of a `protattr` xattr.
pub type ProtattrValue = Inline<MAX_LEN>;

/// What is wrong with a `protattr` xattr. None of its flags are taken then.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProtattrError {
    /// Longer than [`MAX_LEN`]. The in-tree module ignores such a value without a word.
    TooLong,
    /// Empty, or with a flag that is not known.
    Incompatible,
}

impl_fault!(ProtattrError {
    TooLong => Range, "overlay.protattr is too long";
    Incompatible => Inval, "incompatible overlay.protattr format";
});

/// File attributes that protect an inode.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Protattr {
    /// `a`: data can only be appended.
    pub append: bool,
    /// `i`: nothing can be changed.
    pub immutable: bool,
}

impl Protattr {
    /// Reads the value of the xattr.
    pub fn parse(value: &[u8]) -> Result<Self, ProtattrError> {
        if value.len() > MAX_LEN {
            return Err(ProtattrError::TooLong);
        }
        if value.is_empty() {
            return Err(ProtattrError::Incompatible);
        }

        let mut attr = Self::default();
        for flag in value {
            match flag {
                b'a' => attr.append = true,
                b'i' => attr.immutable = true,
                _ => return Err(ProtattrError::Incompatible),
            }
        }
        Ok(attr)
    }

    /// Returns the value of the xattr, or nothing when there should be no xattr.
    pub fn encode(self) -> Option<ProtattrValue> {
        let mut value = ProtattrValue::new();
        if self.append {
            value.push(b'a');
        }
        if self.immutable {
            value.push(b'i');
        }
        (!value.is_empty()).then_some(value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn roundtrip() {
        for (value, append, immutable) in [
            (b"a".as_slice(), true, false),
            (b"i", false, true),
            (b"ai", true, true),
        ] {
            let attr = Protattr { append, immutable };
            assert_eq!(Protattr::parse(value), Ok(attr));
            assert_eq!(attr.encode().as_deref(), Some(value));
        }
        assert_eq!(Protattr::default().encode(), None);
        assert_eq!(
            Protattr::parse(&[b'i'; MAX_LEN]),
            Protattr::parse(b"i"),
            "repeated flags"
        );
    }

    #[test]
    fn errors() {
        for value in [b"".as_slice(), b"x", b"ax", b"a\0", b"a i"] {
            assert_eq!(Protattr::parse(value), Err(ProtattrError::Incompatible));
        }
        assert_eq!(
            Protattr::parse(&[b'a'; MAX_LEN + 1]),
            Err(ProtattrError::TooLong)
        );
    }
}
