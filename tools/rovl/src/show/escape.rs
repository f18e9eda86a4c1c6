// SPDX-License-Identifier: GPL-2.0

//! Names and paths as text: nothing in them acts on a terminal or breaks a line, and the bytes can be
//! had back.
//!
//! A backslash is shown as `\\`; bytes that are not UTF-8, control characters, and characters that
//! show nothing or turn the direction of text as `\xNN` for each byte. `printf %b` of a shell reads it.

use std::ffi::OsStr;
use std::fmt::{self, Display, Write as _};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

/// Bytes that are shown escaped.
#[derive(Clone, Copy, Debug)]
pub struct Name<'a>(&'a [u8]);

/// Shows a name, a path or any other text of a layer.
pub fn name<T: AsBytes + ?Sized>(text: &T) -> Name<'_> {
    Name(text.bytes_of())
}

/// What has bytes to show.
pub trait AsBytes {
    /// The bytes.
    fn bytes_of(&self) -> &[u8];
}

impl AsBytes for [u8] {
    fn bytes_of(&self) -> &[u8] {
        self
    }
}

impl AsBytes for Vec<u8> {
    fn bytes_of(&self) -> &[u8] {
        self
    }
}

impl AsBytes for str {
    fn bytes_of(&self) -> &[u8] {
        self.as_bytes()
    }
}

impl AsBytes for String {
    fn bytes_of(&self) -> &[u8] {
        self.as_bytes()
    }
}

impl AsBytes for OsStr {
    fn bytes_of(&self) -> &[u8] {
        self.as_bytes()
    }
}

impl AsBytes for std::ffi::OsString {
    fn bytes_of(&self) -> &[u8] {
        self.as_bytes()
    }
}

impl AsBytes for Path {
    fn bytes_of(&self) -> &[u8] {
        self.as_os_str().as_bytes()
    }
}

impl AsBytes for std::path::PathBuf {
    fn bytes_of(&self) -> &[u8] {
        self.as_os_str().as_bytes()
    }
}

impl Display for Name<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for chunk in self.0.utf8_chunks() {
            for c in chunk.valid().chars() {
                if c == '\\' {
                    f.write_str("\\\\")?;
                } else if is_hidden(c) {
                    hex(f, c.encode_utf8(&mut [0; 4]).as_bytes())?;
                } else {
                    f.write_char(c)?;
                }
            }
            hex(f, chunk.invalid())?;
        }
        Ok(())
    }
}

fn hex(f: &mut fmt::Formatter<'_>, bytes: &[u8]) -> fmt::Result {
    bytes.iter().try_for_each(|byte| write!(f, "\\x{byte:02x}"))
}

/// Whether a character acts on a terminal, breaks a line, or has no shape of its own: then two names that
/// differ could look the same.
fn is_hidden(c: char) -> bool {
    c.is_control()
        || matches!(c,
            '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{115f}' | '\u{1160}' | '\u{17b4}' | '\u{17b5}'
            | '\u{180b}'..='\u{180f}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}' | '\u{3164}' | '\u{fe00}'..='\u{fe0f}' | '\u{feff}'
            | '\u{ffa0}' | '\u{fff0}'..='\u{fffb}' | '\u{e0000}'..='\u{e0fff}')
        || (c.is_whitespace() && c != ' ')
}

/// Returns the bytes that [`name`] shows as `text`, or nothing when it shows none so.
pub fn unescape(text: &str) -> Option<Vec<u8>> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&first, after)) = rest.split_first() {
        rest = after;
        if first != b'\\' {
            bytes.push(first);
            continue;
        }
        match *rest {
            [b'\\', ref after @ ..] => {
                bytes.push(b'\\');
                rest = after;
            }
            [b'x', high, low, ref after @ ..] => {
                let digit = |c: u8| char::from(c).to_digit(16);
                let byte = digit(high)? * 16 + digit(low)?;
                bytes.push(u8::try_from(byte).ok()?);
                rest = after;
            }
            _ => return None,
        }
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::{name, unescape};
    use proptest::prelude::*;

    #[test]
    fn text_stays_as_it_is() {
        for text in ["", "plain", "with space", "äöü 日本 👍", "'quotes\" $x"] {
            assert_eq!(name(text).to_string(), text);
        }
    }

    #[test]
    fn what_acts_on_terminals_is_escaped() {
        let cases: &[(&[u8], &str)] = &[
            (b"a\nb", "a\\x0ab"),
            (b"\x1b[31m", "\\x1b[31m"),
            (b"a\\b", "a\\\\b"),
            (b"\xff\xfe", "\\xff\\xfe"),
            (b"\xc3", "\\xc3"),
            // C1 control, right-to-left override, byte order mark.
            ("\u{9b}".as_bytes(), "\\xc2\\x9b"),
            ("\u{202e}txt".as_bytes(), "\\xe2\\x80\\xaetxt"),
            ("\u{feff}".as_bytes(), "\\xef\\xbb\\xbf"),
            ("\u{a0}\u{2003}".as_bytes(), "\\xc2\\xa0\\xe2\\x80\\x83"),
            (b"\x7f", "\\x7f"),
        ];
        for &(bytes, shown) in cases {
            assert_eq!(name(bytes).to_string(), shown);
        }
    }

    #[test]
    fn wrong_escapes_are_none() {
        for text in ["\\", "\\x", "\\x1", "\\xg0", "\\n"] {
            assert_eq!(unescape(text), None, "{text}");
        }
    }

    proptest! {
        #[test]
        fn bytes_come_back(bytes in proptest::collection::vec(any::<u8>(), 0..64)) {
            let shown = name(&bytes).to_string();
            prop_assert!(!shown.chars().any(char::is_control));
            prop_assert_eq!(unescape(&shown), Some(bytes));
        }
    }
}
