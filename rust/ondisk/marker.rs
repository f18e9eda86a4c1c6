// SPDX-License-Identifier: GPL-2.0

//! One-byte markers on directories: `opaque` and `impure`.
//!
//! The in-tree module reads such a value into a buffer of one byte, so a value of any other length
//! counts as absent, and so does a byte that it does not know.

/// What the `opaque` xattr of a directory says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Opaque {
    /// Nothing: layers below are merged.
    No,
    /// `y`: nothing of the layers below shows.
    Yes,
    /// `x`: the directory, of a lower layer, may hold xattr whiteouts.
    XattrWhiteouts,
}

impl Opaque {
    /// The value that makes a directory opaque.
    pub const YES: &'static [u8] = b"y";

    /// The value that announces xattr whiteouts.
    pub const XATTR_WHITEOUTS: &'static [u8] = b"x";

    /// Reads the value of the `opaque` xattr.
    pub const fn parse(value: &[u8]) -> Self {
        match value {
            b"y" => Self::Yes,
            b"x" => Self::XattrWhiteouts,
            _ => Self::No,
        }
    }
}

/// The value that a mount writes to the `opaque` xattr of the work directory, and removes again, to
/// find out whether the upper filesystem has xattrs. It has no meaning of its own.
pub const PROBE: &[u8] = b"0";

/// The value of the `impure` xattr.
pub const IMPURE: &[u8] = b"y";

/// Returns whether the value of an `impure` xattr says that the directory is impure.
pub const fn is_impure(value: &[u8]) -> bool {
    matches!(value, b"y")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn opaque() {
        assert_eq!(Opaque::parse(Opaque::YES), Opaque::Yes);
        assert_eq!(
            Opaque::parse(Opaque::XATTR_WHITEOUTS),
            Opaque::XattrWhiteouts
        );
        for value in [b"".as_slice(), PROBE, b"Y", b"yy", b"x\0", b"\0"] {
            assert_eq!(Opaque::parse(value), Opaque::No, "{value:?}");
        }
    }

    #[test]
    fn impure() {
        assert!(is_impure(IMPURE));
        assert!(!is_impure(b"") && !is_impure(b"n") && !is_impure(b"yes"));
    }
}
