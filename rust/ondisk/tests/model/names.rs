// SPDX-License-Identifier: GPL-2.0

//! Names of xattrs.

use ondisk::escape::{self, EscapeError, ListError, XATTR_NAME_MAX};
use ondisk::{Name, Namespace};

/// Both namespaces.
pub(crate) const NAMESPACES: [Namespace; 2] = [Namespace::Trusted, Namespace::User];

fn prefix(namespace: Namespace) -> &'static [u8] {
    match namespace {
        Namespace::Trusted => b"trusted.overlay.",
        Namespace::User => b"user.overlay.",
    }
}

/// What a user of the overlay sees of a name in a layer.
fn visible(namespace: Namespace, name: &[u8]) -> Option<Vec<u8>> {
    let Some(suffix) = name.strip_prefix(prefix(namespace)) else {
        return Some(name.to_vec());
    };
    let suffix = suffix.strip_prefix(b"overlay.")?;
    Some([prefix(namespace), suffix].concat())
}

/// Checks what becomes of a name that a user gives, by what follows the prefix.
pub(crate) fn check_escape(namespace: Namespace, suffix: &[u8]) {
    let given = [prefix(namespace), suffix].concat();
    let inside = [prefix(namespace), b"overlay.", suffix].concat();
    let mut buf = [0xee; XATTR_NAME_MAX + 1];

    match escape::escape(namespace, suffix, &mut buf) {
        Ok(name) => {
            let name = name.to_bytes();
            assert_eq!(name, inside);
            assert!(escape::is_escaped(namespace, name) && !escape::is_private(namespace, name));
            let (first, second) = escape::unescape(namespace, name).unwrap();
            assert_eq!([first, second].concat(), given);
        }
        Err(EscapeError::TooLong) => assert!(inside.len() > XATTR_NAME_MAX),
        Err(EscapeError::Nul) => assert!(suffix.contains(&0)),
    }
}

/// Checks what is said of a name in a layer.
pub(crate) fn check_name(namespace: Namespace, name: &[u8]) {
    let shown = escape::unescape(namespace, name).map(|(a, b)| [a, b].concat());
    assert_eq!(shown, visible(namespace, name));
    assert_eq!(escape::is_private(namespace, name), shown.is_none());
    if let Some(known) = Name::from_full(namespace, name) {
        assert_eq!(known.full(namespace).to_bytes(), name);
        assert!(escape::is_private(namespace, name));
    }
}

/// Checks the filter for lists of names.
pub(crate) fn check_list(namespace: Namespace, list: &[u8], trusted: bool) {
    let mut filtered = list.to_vec();
    let result = escape::filter_list(namespace, &mut filtered, || trusted);
    let names = match list.strip_suffix(&[0]) {
        Some(names) => names,
        None if list.is_empty() => return assert_eq!(result, Ok(0)),
        None => return assert_eq!(result, Err(ListError::Unterminated)),
    };

    let wanted: Vec<u8> = names
        .split(|&byte| byte == 0)
        .filter(|name| trusted || !name.starts_with(b"trusted."))
        .filter_map(|name| visible(namespace, name))
        .flat_map(|mut name| {
            name.push(0);
            name
        })
        .collect();
    assert_eq!(&filtered[..result.unwrap()], wanted);
}
