// SPDX-License-Identifier: GPL-2.0

//! Mount options that were cut at the commas in their values.
//!
//! The mount table shows the value of an option, which may have commas in it that nothing protects: a
//! path that was not given in the one string of mount(2). mount(8) reads the table, and cuts it at all
//! commas, when it repeats the options of a mount. So one option comes as several: the first part has
//! the name of the option, the others are taken for options themselves. Of those that come more than
//! once, it sends the last.

/// Returns the parts of `value`. The first one may be empty; of the others an empty one is no option.
pub fn parts(value: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut parts = value.split(|&byte| byte == b',');
    let first = parts.next();
    Iterator::chain(first.into_iter(), parts.filter(|part| !part.is_empty()))
}

/// Returns whether `part` is taken for the option `key`, with `value` if it has one.
pub fn is_option(part: &[u8], key: &[u8], value: Option<&[u8]>) -> bool {
    match value {
        None => part == key,
        Some(value) => {
            let rest = part.strip_prefix(key);
            rest.and_then(|rest| rest.strip_prefix(b"=")) == Some(value)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mount_data::options;

    fn list(value: &str) -> Vec<String> {
        parts(value.as_bytes())
            .map(|part| String::from_utf8_lossy(part).into_owned())
            .collect()
    }

    #[test]
    fn cut_at_commas() {
        assert_eq!(list("/a"), ["/a"]);
        assert_eq!(list("/a,b=c,,d"), ["/a", "b=c", "d"]);
        assert_eq!(list("/a,,"), ["/a"]);
        assert_eq!(list(",a"), ["", "a"]);
        assert_eq!(list(""), [""]);
    }

    #[test]
    fn taken_for_options() {
        assert!(is_option(b"b", b"b", None));
        assert!(is_option(b"b=c=d", b"b", Some(b"c=d")));
        assert!(is_option(b"b=", b"b", Some(b"")));
        for (part, key, value) in [
            ("b=c", "b", None),
            ("b=c", "b", Some("")),
            ("b", "b", Some("")),
            ("b=c", "b=c", Some("")),
            ("bb", "b", None),
        ] {
            let value = value.map(str::as_bytes);
            assert!(!is_option(part.as_bytes(), key.as_bytes(), value));
        }
    }

    /// Whatever a path has in it, its parts are the options that are read where it is.
    #[test]
    fn all_parts_of_a_path() {
        for path in ["/a", "/a,b", "/a,,b=c=d,e/f,", "/a=b,c=", ",a"] {
            let data = format!("o={path}");
            let mut options = options(data.as_bytes());
            let mut parts = parts(path.as_bytes());
            assert_eq!(options.next().unwrap().value, parts.next());
            for option in options {
                assert!(is_option(parts.next().unwrap(), option.key, option.value));
            }
            assert_eq!(parts.next(), None, "{path}");
        }
    }
}
