// SPDX-License-Identifier: GPL-2.0

//! The option string of mount(2): `key[=value][,key[=value]]`, where a backslash takes the meaning
//! from the character after it, so that a path may have a comma in it.
//!
//! The backslashes stay in the value; the options that know them take them out
//! (see [`backslash`](crate::backslash)).

use crate::backslash::find_unescaped;

/// One mount option.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MountOption<'a> {
    /// The name. It is not empty.
    pub key: &'a [u8],
    /// What follows the first `=`, if there is one.
    pub value: Option<&'a [u8]>,
}

/// Splits off the first option: returns it and, if a comma ended it, all that follows.
#[inline]
pub fn next_option(data: &[u8]) -> (&[u8], Option<&[u8]>) {
    match find_unescaped(data, b',').and_then(|at| data.split_at_checked(at)) {
        Some((option, rest)) => (option, rest.strip_prefix(b",")),
        None => (data, None),
    }
}

/// Returns the options in `data`. Empty ones, and ones without a key, are skipped.
pub fn options(data: &[u8]) -> Options<'_> {
    Options { rest: Some(data) }
}

/// An iterator over the options in an option string.
#[derive(Clone, Debug)]
pub struct Options<'a> {
    rest: Option<&'a [u8]>,
}

impl<'a> Iterator for Options<'a> {
    type Item = MountOption<'a>;

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        loop {
            let (option, rest) = next_option(self.rest?);
            self.rest = rest;

            let mut parts = option.splitn(2, |&byte| byte == b'=');
            let key = parts.next().unwrap_or_default();
            if !key.is_empty() {
                let value = parts.next();
                return Some(MountOption { key, value });
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn split(data: &str) -> Vec<(String, Option<String>)> {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        options(data.as_bytes())
            .map(|option| (text(option.key), option.value.map(text)))
            .collect()
    }

    fn pair(key: &str, value: &str) -> (String, Option<String>) {
        (key.to_owned(), Some(value.to_owned()))
    }

    fn flag(key: &str) -> (String, Option<String>) {
        (key.to_owned(), None)
    }

    #[test]
    fn keys_and_values() {
        assert_eq!(split(""), []);
        assert_eq!(
            split("lowerdir=/a:/b,volatile,upperdir=/u"),
            [
                pair("lowerdir", "/a:/b"),
                flag("volatile"),
                pair("upperdir", "/u")
            ]
        );
        assert_eq!(split("a=b=c,d="), [pair("a", "b=c"), pair("d", "")]);
    }

    #[test]
    fn escaped_comma() {
        assert_eq!(
            split(r"upperdir=/a\,b,index=on"),
            [pair("upperdir", r"/a\,b"), pair("index", "on")]
        );
        assert_eq!(split(r"a=\\,b"), [pair("a", r"\\"), flag("b")]);
        assert_eq!(split(r"a=\"), [pair("a", r"\")]);
    }

    #[test]
    fn skipped() {
        assert_eq!(split(",,a,,"), [flag("a")]);
        assert_eq!(split("=x,a,=,"), [flag("a")]);
    }
}
