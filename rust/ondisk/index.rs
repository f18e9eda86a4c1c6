// SPDX-License-Identifier: GPL-2.0

//! Names of entries in the index directory: the [`FileHandle`] of the lower inode in hexadecimal.

use crate::file_handle::{FileHandle, HandleError, HEADER_LEN, MAX_LEN};
use crate::inline::Inline;

/// The length of the longest handle whose entry has a name: a name has at most 255 bytes (`NAME_MAX`).
pub const MAX_NAMED_LEN: usize = 255 / 2;

/// The name of an index entry.
pub type IndexName = Inline<{ 2 * MAX_NAMED_LEN }>;

const DIGITS: &[u8; 16] = b"0123456789abcdef";

/// Room for the handle in a name.
pub type Bytes = Inline<MAX_LEN>;

/// Returns the name of the index entry for `handle`, or `None` if it would be too long for one.
// Inline, so that it is made in its place and not copied there.
#[inline]
pub fn name(handle: FileHandle<'_>) -> Option<IndexName> {
    let digit = |value: u8| DIGITS.get(usize::from(value)).copied().unwrap_or_default();
    let bytes = handle.as_bytes();
    if bytes.len() > MAX_NAMED_LEN {
        return None;
    }
    let mut name = IndexName::new();
    name.fill_pairs(bytes, |byte| [digit(byte >> 4), digit(byte & 0xf)]);
    Some(name)
}

/// Reads the name of an index entry into `bytes`.
///
/// As in the in-tree module, upper-case digits are read as well, and the last character of a name
/// of odd length is ignored.
pub fn parse<'a>(name: &[u8], bytes: &'a mut Bytes) -> Result<FileHandle<'a>, HandleError> {
    if name.len() < 2 * HEADER_LEN {
        return Err(HandleError::Malformed);
    }

    *bytes = Bytes::new();
    for pair in name.chunks_exact(2) {
        let [high, low] = *pair else {
            return Err(HandleError::Malformed);
        };
        let (high, low) = digit(high).zip(digit(low)).ok_or(HandleError::Malformed)?;
        // What does not fit cannot be part of a handle.
        bytes.push((high << 4) | low);
    }
    FileHandle::parse(bytes)
}

fn digit(byte: u8) -> Option<u8> {
    char::from(byte)
        .to_digit(16)
        .and_then(|digit| u8::try_from(digit).ok())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::file_handle::tests::made;
    use crate::uuid::NULL;

    #[test]
    fn roundtrip() {
        let handle = made(1, &[0xab, 0xcd, 0, 0x9f], &NULL, false).unwrap();
        let name = name(handle.get()).unwrap();
        assert!(name.starts_with(b"00fb19"));
        assert!(name.ends_with(b"abcd009f"));
        assert_eq!(name.len(), 50);
        assert_eq!(parse(&name, &mut Bytes::default()), Ok(handle.get()));
        let upper_case = name.to_ascii_uppercase();
        assert_eq!(parse(&upper_case, &mut Bytes::default()), Ok(handle.get()));

        let mut odd = name.to_vec();
        odd.push(b'z');
        assert_eq!(parse(&odd, &mut Bytes::default()), Ok(handle.get()));
        odd.push(b'z');
        assert_eq!(
            parse(&odd, &mut Bytes::default()),
            Err(HandleError::Malformed)
        );
    }

    #[test]
    fn longest_name() {
        let longest = made(1, &[7; 104], &NULL, false).unwrap();
        assert_eq!(name(longest.get()).map(|name| name.len()), Some(250));
        let longer = made(1, &[7; 108], &NULL, false).unwrap();
        assert_eq!(name(longer.get()), None);
    }

    #[test]
    fn bad_names() {
        let fault = |name: &[u8]| parse(name, &mut Bytes::default()).err();
        assert_eq!(fault(b""), Some(HandleError::Malformed));
        assert_eq!(fault(b"#1"), Some(HandleError::Malformed));
        assert_eq!(fault(&[b'0'; 42]), Some(HandleError::Malformed));
        assert_eq!(fault(&[b'g'; 50]), Some(HandleError::Malformed));
        let made = made(1, &[], &NULL, false).unwrap();
        let mut later = name(made.get()).unwrap().to_vec();
        later[1] = b'1';
        assert_eq!(fault(&later), Some(HandleError::Unknown));
    }
}
