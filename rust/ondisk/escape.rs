// SPDX-License-Identifier: GPL-2.0

//! Escaping of xattr names, so that an overlay can hold the layers of another one.
//!
//! Names that start with the prefix of the mount ([`Namespace::prefix`]) are private to it. A user
//! of the overlay who sets `trusted.overlay.NAME` gets `trusted.overlay.overlay.NAME` in the layer:
//! one level is added on the way down and taken off on the way up. Only the prefix of the mount's
//! own namespace is treated like this.

use crate::error::impl_fault;
use crate::xattr::Namespace;
use core::ffi::CStr;

/// The length of the longest xattr name that the VFS takes, without NUL (`XATTR_NAME_MAX`).
pub const XATTR_NAME_MAX: usize = 255;

/// The level that escaping adds.
const LEVEL: &[u8] = b"overlay.";

const TRUSTED: &[u8] = b"trusted.";

/// Why a name cannot be escaped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EscapeError {
    /// The escaped name is longer than [`XATTR_NAME_MAX`].
    TooLong,
    /// The name has a NUL in it.
    Nul,
}

impl_fault!(EscapeError {
    TooLong => OpNotSupp, "xattr name is too long once it is escaped";
    Nul => Inval, "xattr name contains a NUL";
});

/// Why a list of xattr names cannot be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ListError {
    /// The last name has no NUL.
    Unterminated,
}

impl_fault!(ListError {
    Unterminated => Io, "the layer's filesystem gave a list of xattr names that does not end \
        with NUL";
});

/// A name without allocation: room for the longest one and its NUL.
pub type NameBuf = [u8; XATTR_NAME_MAX + 1];

/// Returns whether `name` starts with the prefix of the mount, escaped or not.
#[inline]
pub fn is_own(namespace: Namespace, name: &[u8]) -> bool {
    name.starts_with(namespace.prefix().to_bytes())
}

/// Returns whether `name`, as it is in a layer, was escaped.
pub fn is_escaped(namespace: Namespace, name: &[u8]) -> bool {
    name.starts_with(namespace.escape_prefix().to_bytes())
}

/// Returns whether `name`, as it is in a layer, is state of this overlay: neither shown to users
/// nor copied up as theirs.
pub fn is_private(namespace: Namespace, name: &[u8]) -> bool {
    is_own(namespace, name) && !is_escaped(namespace, name)
}

/// Writes the name that `suffix` has in a layer to `buf`.
///
/// `suffix` is what follows the prefix of the mount in the name that the user of the overlay gave,
/// as an xattr handler for that prefix gets it.
pub fn escape<'b>(
    namespace: Namespace,
    suffix: &[u8],
    buf: &'b mut NameBuf,
) -> Result<&'b CStr, EscapeError> {
    let prefix = namespace.escape_prefix().to_bytes();
    let len = prefix.len().saturating_add(suffix.len());
    if len > XATTR_NAME_MAX {
        return Err(EscapeError::TooLong);
    }

    let bytes = prefix.iter().chain(suffix).chain(&[0]);
    for (to, from) in buf.iter_mut().zip(bytes) {
        *to = *from;
    }

    let name = buf.get(..=len).ok_or(EscapeError::TooLong)?;
    CStr::from_bytes_with_nul(name).map_err(|_| EscapeError::Nul)
}

/// Returns the name that users of the overlay see for `name` in a layer, in two parts that follow
/// each other; or nothing when they see none.
///
/// The second part is empty unless a level was taken off.
#[inline]
pub fn unescape(namespace: Namespace, name: &[u8]) -> Option<(&[u8], &[u8])> {
    if let Some(suffix) = name.strip_prefix(namespace.escape_prefix().to_bytes()) {
        return Some((namespace.prefix().to_bytes(), suffix));
    }

    (!is_own(namespace, name)).then_some((name, &[]))
}

/// Turns the list of xattr names of a layer into what users of the overlay may see, in place, and
/// returns its new length.
///
/// Each name in `list` ends with NUL. `may_list_trusted` tells whether the caller may see the names
/// in `trusted.` that are not the overlay's; it is asked once for each such name.
pub fn filter_list(
    namespace: Namespace,
    list: &mut [u8],
    mut may_list_trusted: impl FnMut() -> bool,
) -> Result<usize, ListError> {
    let prefix = namespace.prefix().to_bytes();
    let mut read = 0;
    let mut write = 0;

    while let Some(rest) = list.get(read..).filter(|rest| !rest.is_empty()) {
        let len = rest
            .iter()
            .position(|&byte| byte == 0)
            .ok_or(ListError::Unterminated)?;
        let name = rest.get(..len).unwrap_or_default();
        let end = read.saturating_add(len).saturating_add(1);

        let suffix = name.strip_prefix(prefix);
        let is_escaped = suffix.is_some_and(|suffix| suffix.starts_with(LEVEL));
        let hidden =
            (suffix.is_some() && !is_escaped) || (name.starts_with(TRUSTED) && !may_list_trusted());
        if !hidden {
            let mut from = read;
            if is_escaped {
                from = read.saturating_add(prefix.len());
                write = move_down(list, read, from, write);
                from = from.saturating_add(LEVEL.len());
            }
            write = move_down(list, from, end, write);
        }
        read = end;
    }

    Ok(write)
}

/// Moves `list[from..to]` to `write`, which is not above it, and returns where it ends there.
#[inline]
fn move_down(list: &mut [u8], from: usize, to: usize, mut write: usize) -> usize {
    if from == write {
        return to;
    }
    for read in from..to {
        let byte = list.get(read).copied().unwrap_or_default();
        if let Some(slot) = list.get_mut(write) {
            *slot = byte;
            write = write.saturating_add(1);
        }
    }
    write
}

#[cfg(test)]
mod tests {
    use super::*;
    use Namespace::{Trusted, User};

    #[test]
    fn classes() {
        assert!(is_private(Trusted, b"trusted.overlay.opaque"));
        assert!(is_private(Trusted, b"trusted.overlay."));
        assert!(is_private(Trusted, b"trusted.overlay.overlay"));
        assert!(!is_private(Trusted, b"trusted.overlay.overlay.opaque"));
        assert!(is_escaped(Trusted, b"trusted.overlay.overlay.opaque"));
        assert!(!is_own(Trusted, b"user.overlay.opaque"));
        assert!(!is_own(User, b"trusted.overlay.opaque"));
        assert!(!is_own(User, b"user.overlay"));
        assert!(is_own(User, b"user.overlay.overlay.x"));
    }

    #[test]
    fn down_and_up() {
        let mut buf = [0xaa; XATTR_NAME_MAX + 1];
        let name = escape(User, b"opaque", &mut buf).unwrap();
        assert_eq!(name, c"user.overlay.overlay.opaque");
        assert_eq!(
            unescape(User, name.to_bytes()),
            Some((b"user.overlay.".as_slice(), b"opaque".as_slice()))
        );
        assert_eq!(unescape(User, b"user.overlay.opaque"), None);
        assert_eq!(
            unescape(User, b"user.mime"),
            Some((b"user.mime".as_slice(), b"".as_slice()))
        );
    }

    #[test]
    fn longest() {
        let mut buf = [0; XATTR_NAME_MAX + 1];
        let room = XATTR_NAME_MAX - b"trusted.overlay.overlay.".len();
        let suffix = [b'n'; XATTR_NAME_MAX];
        let fits = escape(Trusted, &suffix[..room], &mut buf).unwrap();
        assert_eq!(fits.to_bytes().len(), XATTR_NAME_MAX);
        assert_eq!(
            escape(Trusted, &suffix[..=room], &mut buf),
            Err(EscapeError::TooLong)
        );
        assert_eq!(escape(User, b"a\0b", &mut buf), Err(EscapeError::Nul));
    }

    #[test]
    fn list() {
        let mut list = *b"user.a\0trusted.overlay.origin\0trusted.overlay.overlay.opaque\0\
            security.selinux\0trusted.other\0";
        let len = filter_list(Trusted, &mut list, || true).unwrap();
        assert_eq!(
            &list[..len],
            b"user.a\0trusted.overlay.opaque\0security.selinux\0trusted.other\0"
        );

        let len = filter_list(Trusted, &mut list[..len], || false).unwrap();
        // Seen from above once more, "trusted.overlay.opaque" is private.
        assert_eq!(&list[..len], b"user.a\0security.selinux\0");
    }

    #[test]
    fn list_edges() {
        assert_eq!(filter_list(User, &mut [], || true), Ok(0));
        assert_eq!(
            filter_list(User, &mut b"user.a".to_owned(), || true),
            Err(ListError::Unterminated)
        );
        // An escaped name in trusted is hidden from those who may not list trusted.
        let mut list = *b"trusted.overlay.overlay.x\0";
        assert_eq!(filter_list(Trusted, &mut list, || false), Ok(0));
    }
}
