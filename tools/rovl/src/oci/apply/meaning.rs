// SPDX-License-Identifier: GPL-2.0

//! What a path in the layer of an image means.

use super::super::{META_PREFIX, OPAQUE, WHITEOUT_PREFIX};

/// The longest name of a file (`NAME_MAX`).
const NAME_MAX: usize = 255;

/// What a path means. Names are those of directories from the root on, without empty ones, `.` and `..`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Meaning<'a> {
    /// The root of the layer.
    Root,
    /// What has this path, the last name with it.
    Object(Vec<&'a [u8]>),
    /// In the directory with this path, the name is hidden.
    Whiteout(Vec<&'a [u8]>, &'a [u8]),
    /// The directory with this path hides what is below.
    Opaque(Vec<&'a [u8]>),
    /// Something that has a meaning for another file system only.
    Other,
}

/// What `path` means. A slash at its start counts for nothing: all is below the root.
pub fn meaning(path: &[u8]) -> Result<Meaning<'_>, &'static str> {
    let names = path.split(|&byte| byte == b'/');
    let mut names: Vec<_> = names.filter(|name| !matches!(*name, b"" | b".")).collect();
    if names.contains(&b"..".as_slice()) {
        return Err("refused: the path leads upwards by ..");
    }
    if names.iter().any(|name| name.contains(&0)) {
        return Err("refused: the path has a NUL in it");
    }
    let Some(last) = names.pop() else {
        return Ok(Meaning::Root);
    };
    if names.iter().any(|name| name.starts_with(WHITEOUT_PREFIX)) {
        return Err("refused: the path leads through a whiteout");
    }
    // What a whiteout hides may be as long as a name can be.
    let own = last.strip_prefix(WHITEOUT_PREFIX).unwrap_or(last);
    if names.iter().chain([&own]).any(|name| name.len() > NAME_MAX) {
        return Err("refused: a name in the path is longer than 255 bytes");
    }
    if last == OPAQUE {
        return Ok(Meaning::Opaque(names));
    }
    if last.starts_with(META_PREFIX) {
        return Ok(Meaning::Other);
    }
    match last.strip_prefix(WHITEOUT_PREFIX) {
        Some(b"" | b"." | b"..") => Err("refused: a whiteout of no name"),
        Some(hidden) => Ok(Meaning::Whiteout(names, hidden)),
        None => {
            names.push(last);
            Ok(Meaning::Object(names))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{meaning, Meaning};

    #[test]
    fn paths() {
        let object = |path: &'static str, names: &[&'static str]| {
            let names = names.iter().map(|name| name.as_bytes()).collect();
            assert_eq!(
                meaning(path.as_bytes()),
                Ok(Meaning::Object(names)),
                "{path}"
            );
        };
        object("a", &["a"]);
        object("./a/b/", &["a", "b"]);
        object("/etc//passwd", &["etc", "passwd"]);
        object("a..b/...", &["a..b", "..."]);
        object(".whx", &[".whx"]);
        for root in ["", "/", ".", "./", "//."] {
            assert_eq!(meaning(root.as_bytes()), Ok(Meaning::Root));
        }
    }

    #[test]
    fn whiteouts() {
        assert_eq!(meaning(b".wh.a"), Ok(Meaning::Whiteout(vec![], b"a")));
        assert_eq!(
            meaning(b"d/.wh..a"),
            Ok(Meaning::Whiteout(vec![b"d"], b".a"))
        );
        assert_eq!(meaning(b"d/.wh..wh..opq"), Ok(Meaning::Opaque(vec![b"d"])));
        let long = [b".wh.".as_slice(), &[b'x'; 255]].concat();
        assert_eq!(meaning(&long), Ok(Meaning::Whiteout(vec![], &[b'x'; 255])));
        assert!(meaning(&[&long, b"x".as_slice()].concat()).is_err());
        assert_eq!(meaning(b".wh..wh.plnk"), Ok(Meaning::Other));
        assert_eq!(meaning(b"d/.wh..wh.aufs"), Ok(Meaning::Other));
    }

    #[test]
    fn refused() {
        let long = [b'x'; 256];
        for path in [
            b"..".as_slice(),
            b"a/../b",
            b"../../etc/passwd",
            b"/..",
            b".wh.",
            b".wh..",
            b".wh...",
            b".wh.a/b",
            b"a\0b",
            &long,
        ] {
            assert!(meaning(path).is_err(), "{path:?}");
        }
    }
}
