// SPDX-License-Identifier: GPL-2.0

//! Digests of what is written.

use sha2::{Digest as _, Sha256};
use std::fmt;
use std::io::{self, Write};

/// A digest, as images name their parts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Digest(String);

impl Digest {
    /// The digest of `bytes`.
    pub fn of(bytes: &[u8]) -> Self {
        Self::new(&Sha256::digest(bytes))
    }

    fn new(bytes: &[u8]) -> Self {
        let digits = bytes.iter().flat_map(|byte| [byte >> 4, byte & 15]);
        Self(
            digits
                .filter_map(|digit| char::from_digit(digit.into(), 16))
                .collect(),
        )
    }

    /// Reads `sha256:` and 64 digits, and nothing else: it becomes the name of a file.
    pub fn parse(text: &str) -> Option<Self> {
        let digits = text.strip_prefix("sha256:")?;
        let digit = |byte: u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
        (digits.len() == 64 && digits.bytes().all(digit)).then(|| Self(digits.to_owned()))
    }

    /// The digits alone.
    pub fn hex(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "sha256:{}", self.0)
    }
}

/// Passes on what is written, and takes its digest and its length.
pub struct Digesting<W> {
    to: W,
    digest: Sha256,
    len: u64,
}

impl<W: Write> Digesting<W> {
    /// Starts with nothing.
    pub fn new(to: W) -> Self {
        Self {
            to,
            digest: Sha256::new(),
            len: 0,
        }
    }

    /// Ends it: what was written to, the digest and the length.
    pub fn finish(self) -> (W, Digest, u64) {
        (self.to, Digest::new(&self.digest.finalize()), self.len)
    }
}

impl<W: Write> Write for Digesting<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let len = self.to.write(bytes)?;
        self.digest.update(bytes.get(..len).unwrap_or_default());
        self.len = self.len.saturating_add(len as u64);
        Ok(len)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.to.flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digests() {
        let empty = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
        assert_eq!(Digest::of(b"").to_string(), empty);
        assert_eq!(Digest::parse(empty), Some(Digest::of(b"")));
        let mut to = Digesting::new(Vec::new());
        to.write_all(b"abc").unwrap();
        assert_eq!(to.finish(), (b"abc".to_vec(), Digest::of(b"abc"), 3));
    }

    #[test]
    fn only_digests_are_digests() {
        let upper = "sha256:E3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
        for text in [
            "",
            "sha256:",
            "sha256:../../../../etc/passwd",
            "sha512:00",
            upper,
        ] {
            assert_eq!(Digest::parse(text), None, "{text}");
        }
    }
}
