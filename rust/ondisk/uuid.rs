// SPDX-License-Identifier: GPL-2.0

//! The identity of an overlay, in the `uuid` xattr of its upper root, and that of a filesystem in a
//! [`file_handle`](crate::file_handle).

/// The length of a UUID, and of the xattr.
pub const LEN: usize = 16;

/// A UUID as it is stored: raw bytes.
pub type Uuid = [u8; LEN];

/// The UUID of a filesystem that has none, and the one stored with the option `uuid=off`.
pub const NULL: Uuid = [0; LEN];

/// Reads the value of the `uuid` xattr. Any other length than [`LEN`] makes the overlay go on
/// without a persistent identity.
pub fn parse(value: &[u8]) -> Option<Uuid> {
    value.try_into().ok()
}

/// Returns whether `uuid` is [`NULL`].
pub fn is_null(uuid: &Uuid) -> bool {
    *uuid == NULL
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths() {
        assert_eq!(parse(&[7; 16]), Some([7; 16]));
        assert_eq!(parse(&[7; 15]), None);
        assert_eq!(parse(&[7; 17]), None);
        assert_eq!(parse(b""), None);
        assert!(is_null(&NULL) && !is_null(&[1; 16]));
    }
}
