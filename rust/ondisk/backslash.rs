// SPDX-License-Identifier: GPL-2.0

//! Backslashes in mount options: one takes the special meaning from the character after it.
//!
//! The options `lowerdir`, `upperdir` and `workdir` are read like this; `lowerdir+` and `datadir+`
//! take a path as it is.

/// Returns where the first `wanted` is that has no backslash before it.
pub(crate) fn find_unescaped(text: &[u8], wanted: u8) -> Option<usize> {
    let mut escaped = false;
    text.iter().position(|&byte| {
        let found = byte == wanted && !escaped;
        escaped = byte == b'\\' && !escaped;
        found
    })
}

/// Returns the bytes of `text` without its escapes.
///
/// `\\` is one backslash, and a backslash at the end is dropped.
pub fn unescaped(text: &[u8]) -> impl Iterator<Item = u8> + Clone + '_ {
    let mut rest = text.iter().copied();
    core::iter::from_fn(move || match rest.next()? {
        b'\\' => rest.next(),
        byte => Some(byte),
    })
}

/// Writes `text` without its escapes to `buf` and returns the part of `buf` that was written; or
/// nothing when it does not fit. It fits when `buf` is as long as `text`.
#[inline]
pub fn unescape<'b>(text: &[u8], buf: &'b mut [u8]) -> Option<&'b [u8]> {
    let mut len = 0;
    for byte in unescaped(text) {
        *buf.get_mut(len)? = byte;
        len += 1;
    }
    buf.get(..len)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths() {
        let mut buf = [0; 16];
        let mut check = |text: &[u8], path: &[u8]| {
            assert_eq!(unescape(text, &mut buf), Some(path), "{text:?}");
        };
        check(b"", b"");
        check(b"/a", b"/a");
        check(br"/a\:b", b"/a:b");
        check(br"/a\,b", b"/a,b");
        check(br"\\\\", br"\\");
        check(br"\a", b"a");
        check(br"a\", b"a");
        check(br"\", b"");
    }

    #[test]
    fn room() {
        assert_eq!(unescape(br"\abc", &mut [0; 3]), Some(b"abc".as_slice()));
        assert_eq!(unescape(b"abc", &mut [0; 2]), None);
        assert_eq!(unescape(b"", &mut []), Some(b"".as_slice()));
    }

    #[test]
    fn separators() {
        assert_eq!(find_unescaped(b"a,b", b','), Some(1));
        assert_eq!(find_unescaped(br"a\,b,c", b','), Some(4));
        assert_eq!(find_unescaped(br"a\\,b", b','), Some(3));
        assert_eq!(find_unescaped(br"a\", b','), None);
    }
}
