// SPDX-License-Identifier: GPL-2.0

//! Names of entries in the index directory: the [`FileHandle`] of the lower inode in hexadecimal.

use crate::file_handle::{FileHandle, HandleError, HEADER_LEN, MAX_LEN};
use crate::inline::Inline;

/// The name of an index entry.
pub type IndexName = Inline<{ 2 * MAX_LEN }>;

const DIGITS: &[u8; 16] = b"0123456789abcdef";

/// Returns the name of the index entry for `handle`.
pub fn name(handle: &FileHandle) -> IndexName {
    let mut name = IndexName::new();
    for byte in handle.as_bytes() {
        for nibble in [byte >> 4, byte & 0xf] {
            name.push(DIGITS.get(usize::from(nibble)).copied().unwrap_or_default());
        }
    }
    name
}

/// Reads the name of an index entry.
///
/// As in the in-tree module, upper-case digits are read as well, and the last character of a name
/// of odd length is ignored.
pub fn parse(name: &[u8]) -> Result<FileHandle, HandleError> {
    if name.len() < 2 * HEADER_LEN {
        return Err(HandleError::Malformed);
    }

    let mut bytes = Inline::<MAX_LEN>::new();
    for pair in name.chunks_exact(2) {
        let [high, low] = *pair else {
            return Err(HandleError::Malformed);
        };
        let (high, low) = digit(high).zip(digit(low)).ok_or(HandleError::Malformed)?;
        // What does not fit cannot be part of a handle.
        bytes.push((high << 4) | low);
    }
    FileHandle::parse(&bytes)
}

fn digit(byte: u8) -> Option<u8> {
    char::from(byte)
        .to_digit(16)
        .and_then(|digit| u8::try_from(digit).ok())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::uuid::NULL;

    #[test]
    fn roundtrip() {
        let handle = FileHandle::encode(1, &[0xab, 0xcd, 0, 0x9f], &NULL, false).unwrap();
        let name = name(&handle);
        assert!(name.starts_with(b"00fb19"));
        assert!(name.ends_with(b"abcd009f"));
        assert_eq!(name.len(), 50);
        assert_eq!(parse(&name).unwrap(), handle);
        assert_eq!(parse(&name.to_ascii_uppercase()).unwrap(), handle);

        let mut odd = name.to_vec();
        odd.push(b'z');
        assert_eq!(parse(&odd).unwrap(), handle);
        odd.push(b'z');
        assert_eq!(parse(&odd), Err(HandleError::Malformed));
    }

    #[test]
    fn bad_names() {
        assert_eq!(parse(b""), Err(HandleError::Malformed));
        assert_eq!(parse(b"#1"), Err(HandleError::Malformed));
        assert_eq!(parse(&[b'0'; 42]), Err(HandleError::Malformed));
        assert_eq!(parse(&[b'g'; 50]), Err(HandleError::Malformed));
        let mut later = name(&FileHandle::encode(1, &[], &NULL, false).unwrap()).to_vec();
        later[1] = b'1';
        assert_eq!(parse(&later), Err(HandleError::Unknown));
    }
}
