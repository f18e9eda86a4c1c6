// SPDX-License-Identifier: GPL-2.0

//! The `metacopy` xattr: the data of this file is still in a lower layer.
//!
//! It is empty, or says with which fs-verity digest the data must be:
//!
//! ```text
//! version  len  flags  algorithm  digest
//! 0        u8   u8     u8         up to 64 bytes
//! ```
//!
//! `len` counts all of it; the algorithm is an `FS_VERITY_HASH_ALG_*` number, 0 for no digest.

use crate::error::impl_fault;

/// The length of the header.
pub const HEADER_LEN: usize = 4;

/// The length of the longest digest (`FS_VERITY_MAX_DIGEST_SIZE`).
pub const MAX_DIGEST_LEN: usize = 64;

/// The length of the longest value.
pub const MAX_LEN: usize = HEADER_LEN + MAX_DIGEST_LEN;

/// What is wrong with a `metacopy` xattr.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MetacopyError {
    /// Shorter than its header, but not empty.
    TooSmall,
    /// Longer than [`MAX_LEN`].
    TooLong,
    /// Of a later version.
    Version,
    /// `len` is not the length of the value.
    Size,
    /// The digest to store is longer than [`MAX_DIGEST_LEN`].
    DigestLen,
}

impl_fault!(MetacopyError {
    TooSmall => Io, "metacopy file has too small xattr";
    TooLong => Range, "metacopy file has too long xattr";
    Version => Io, "metacopy file has unsupported version";
    Size => Io, "metacopy file has invalid xattr size";
    DigestLen => Io, "fs-verity digest is too long for a metacopy file";
});

/// The value of a `metacopy` xattr.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Metacopy {
    len: u8,
    flags: u8,
    algorithm: u8,
    // All after the part that `len` counts is zero.
    digest: [u8; MAX_DIGEST_LEN],
}

impl Metacopy {
    /// A metacopy file without a digest.
    pub const EMPTY: Self = Self {
        len: HEADER_LEN as u8,
        flags: 0,
        algorithm: 0,
        digest: [0; MAX_DIGEST_LEN],
    };

    /// Makes the value for a file whose data has this fs-verity digest.
    pub fn with_digest(algorithm: u8, digest: &[u8]) -> Result<Self, MetacopyError> {
        let len = u8::try_from(HEADER_LEN.saturating_add(digest.len()))
            .ok()
            .filter(|_| digest.len() <= MAX_DIGEST_LEN)
            .ok_or(MetacopyError::DigestLen)?;
        let mut new = Self {
            len,
            algorithm,
            ..Self::EMPTY
        };
        for (to, from) in new.digest.iter_mut().zip(digest) {
            *to = *from;
        }
        Ok(new)
    }

    /// Reads the value of the xattr. An empty one is [`Self::EMPTY`].
    pub fn parse(value: &[u8]) -> Result<Self, MetacopyError> {
        match check_len(value.len())? {
            _ if value.is_empty() => return Ok(Self::EMPTY),
            len if len > MAX_LEN => return Err(MetacopyError::TooLong),
            _ => {}
        }
        let Some((&[version, len, flags, algorithm], digest)) = value.split_first_chunk() else {
            return Err(MetacopyError::TooSmall);
        };
        if version != 0 {
            return Err(MetacopyError::Version);
        }
        if value.len() != usize::from(len) {
            return Err(MetacopyError::Size);
        }
        Ok(Self {
            flags,
            ..Self::with_digest(algorithm, digest)?
        })
    }

    /// Returns the algorithm and the digest that the data must have, if it must have one.
    pub fn digest(&self) -> Option<(u8, &[u8])> {
        let len = usize::from(self.len).saturating_sub(HEADER_LEN);
        let digest = self.digest.get(..len).unwrap_or_default();
        (self.algorithm != 0).then_some((self.algorithm, digest))
    }

    /// Writes the value to `buf` and returns the part of `buf` that was written. It is empty when
    /// there is nothing to say.
    pub fn encode<'b>(&self, buf: &'b mut [u8; MAX_LEN]) -> &'b [u8] {
        if self.flags == 0 && self.algorithm == 0 {
            return &[];
        }
        let header = [0, self.len, self.flags, self.algorithm];
        for (to, from) in buf.iter_mut().zip(header.iter().chain(&self.digest)) {
            *to = *from;
        }
        buf.get(..usize::from(self.len)).unwrap_or_default()
    }
}

/// Checks the length of the xattr, for who does not need the value, and returns the length that it
/// counts as: an empty value is as good as a header.
pub const fn check_len(len: usize) -> Result<usize, MetacopyError> {
    match len {
        0 => Ok(HEADER_LEN),
        len if len < HEADER_LEN => Err(MetacopyError::TooSmall),
        len => Ok(len),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn empty() {
        let empty = Metacopy::parse(b"").unwrap();
        assert_eq!(empty, Metacopy::EMPTY);
        assert_eq!(empty.digest(), None);
        assert_eq!(empty.encode(&mut [1; MAX_LEN]), b"");
        assert_eq!(Metacopy::parse(&[0, 4, 0, 0]), Ok(Metacopy::EMPTY));
    }

    #[test]
    fn digest() {
        let file = Metacopy::with_digest(1, &[7; 32]).unwrap();
        let mut buf = [0xff; MAX_LEN];
        let value = file.encode(&mut buf);
        assert_eq!(value.len(), 36);
        assert_eq!(&value[..4], [0, 36, 0, 1]);
        assert_eq!(Metacopy::parse(value), Ok(file));
        assert_eq!(file.digest(), Some((1, [7; 32].as_slice())));

        let long = Metacopy::with_digest(2, &[7; 64]).unwrap();
        assert_eq!(Metacopy::parse(long.encode(&mut [0; MAX_LEN])), Ok(long));
        assert_eq!(
            Metacopy::with_digest(2, &[7; 65]),
            Err(MetacopyError::DigestLen)
        );
        assert_eq!(
            Metacopy::with_digest(2, &[7; 300]),
            Err(MetacopyError::DigestLen)
        );
    }

    #[test]
    fn errors() {
        assert_eq!(Metacopy::parse(&[0, 3, 0]), Err(MetacopyError::TooSmall));
        assert_eq!(Metacopy::parse(&[1, 4, 0, 0]), Err(MetacopyError::Version));
        assert_eq!(Metacopy::parse(&[0, 5, 0, 0]), Err(MetacopyError::Size));
        assert_eq!(Metacopy::parse(&[0; 69]), Err(MetacopyError::TooLong));
        assert_eq!(Metacopy::parse(&[0; 68]), Err(MetacopyError::Size));
    }

    #[test]
    fn lengths() {
        assert_eq!(check_len(0), Ok(4));
        assert_eq!(check_len(3), Err(MetacopyError::TooSmall));
        assert_eq!(check_len(4), Ok(4));
        // Without reading the value the in-tree module takes any longer one.
        assert_eq!(check_len(1000), Ok(1000));
    }
}
