// SPDX-License-Identifier: GPL-2.0

//! The `redirect` xattr: where the lower part of a renamed object is to be found.

use crate::error::impl_fault;

/// Why the value of a `redirect` xattr cannot be followed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RedirectError {
    /// The value is empty.
    Empty,
    /// An absolute one has two slashes in a row, or one at its end.
    EmptyComponent,
    /// A relative one has a slash.
    Slash,
}

impl_fault!(RedirectError {
    Empty => Inval, "invalid redirect: it is empty";
    EmptyComponent => Inval, "invalid redirect: an absolute path with an empty component";
    Slash => Inval, "invalid redirect: a relative one must be a single name";
});

/// Where the lower part of an object is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Redirect<'a> {
    /// Under this path from the root of each layer. It starts with a slash.
    Absolute(&'a [u8]),
    /// Under this name in the same directory.
    Relative(&'a [u8]),
}

impl<'a> Redirect<'a> {
    /// Reads the value of the xattr. A NUL ends it, as in the in-tree module.
    pub fn parse(value: &'a [u8]) -> Result<Self, RedirectError> {
        if value.is_empty() {
            return Err(RedirectError::Empty);
        }
        let text = value.split(|&byte| byte == 0).next().unwrap_or_default();

        match text.strip_prefix(b"/") {
            Some(path) if path.split(|&byte| byte == b'/').any(<[u8]>::is_empty) => {
                Err(RedirectError::EmptyComponent)
            }
            Some(_) => Ok(Self::Absolute(text)),
            None if text.contains(&b'/') => Err(RedirectError::Slash),
            None => Ok(Self::Relative(text)),
        }
    }

    /// Returns the text of the redirect.
    pub fn as_bytes(&self) -> &'a [u8] {
        match self {
            Self::Absolute(text) | Self::Relative(text) => text,
        }
    }

    /// Returns the names along the way: one if it is relative.
    #[inline]
    pub fn components(&self) -> impl Iterator<Item = &'a [u8]> + Clone {
        let text = self.as_bytes();
        text.strip_prefix(b"/")
            .unwrap_or(text)
            .split(|&byte| byte == b'/')
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn valid() {
        assert_eq!(Redirect::parse(b"old"), Ok(Redirect::Relative(b"old")));
        let path = Redirect::parse(b"/a/b c").unwrap();
        assert_eq!(path, Redirect::Absolute(b"/a/b c"));
        assert!(path.components().eq([b"a".as_slice(), b"b c"]));
        let name = Redirect::parse(b"old").unwrap();
        assert!(name.components().eq([b"old"]));
    }

    #[test]
    fn invalid() {
        assert_eq!(Redirect::parse(b""), Err(RedirectError::Empty));
        assert_eq!(Redirect::parse(b"a/b"), Err(RedirectError::Slash));
        assert_eq!(Redirect::parse(b"a/"), Err(RedirectError::Slash));
        for path in [b"/".as_slice(), b"//", b"//a", b"/a/", b"/a//b"] {
            assert_eq!(
                Redirect::parse(path),
                Err(RedirectError::EmptyComponent),
                "{path:?}"
            );
        }
    }

    #[test]
    fn nul() {
        assert_eq!(Redirect::parse(b"a\0/b"), Ok(Redirect::Relative(b"a")));
        assert_eq!(Redirect::parse(b"/a\0/"), Ok(Redirect::Absolute(b"/a")));
        // The lookup of such a name then fails with EACCES.
        assert_eq!(Redirect::parse(b"\0a"), Ok(Redirect::Relative(b"")));
    }
}
