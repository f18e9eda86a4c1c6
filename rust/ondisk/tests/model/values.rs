// SPDX-License-Identifier: GPL-2.0

//! Values of xattrs.

use ondisk::marker::{is_impure, Opaque};
use ondisk::metacopy::{self, Metacopy, MetacopyError};
use ondisk::nlink::{self, Base, Nlink};
use ondisk::protattr::{self, Protattr};
use ondisk::redirect::Redirect;
use ondisk::uuid;

/// The text before the first NUL.
fn c_string(value: &[u8]) -> &[u8] {
    let len = value.iter().position(|&byte| byte == 0);
    &value[..len.unwrap_or(value.len())]
}

/// Checks the markers.
pub(crate) fn check_markers(value: &[u8]) {
    let byte = if value.len() == 1 { value[0] } else { 0 };
    let opaque = match byte {
        b'y' => Opaque::Yes,
        b'x' => Opaque::XattrWhiteouts,
        _ => Opaque::No,
    };
    assert_eq!(Opaque::parse(value), opaque);
    assert_eq!(is_impure(value), byte == b'y');
    assert_eq!(uuid::parse(value).is_some(), value.len() == uuid::LEN);
}

/// Checks `redirect`.
pub(crate) fn check_redirect(value: &[u8]) {
    let text = c_string(value);
    let valid = if text.first() == Some(&b'/') {
        !text.ends_with(b"/") && !text.windows(2).any(|pair| pair == b"//")
    } else {
        !value.is_empty() && !text.contains(&b'/')
    };

    let parsed = Redirect::parse(value);
    assert_eq!(parsed.is_ok(), valid);
    if let Ok(redirect) = parsed {
        assert_eq!(redirect.as_bytes(), text);
        let absolute = matches!(redirect, Redirect::Absolute(_));
        assert_eq!(absolute, text.starts_with(b"/"));
        let components: Vec<&[u8]> = redirect.components().collect();
        let joined = components.join(&b'/');
        assert_eq!(joined, if absolute { &text[1..] } else { text });
    }
}

/// What `nlink` says: whose link count it is relative to, and the difference.
fn nlink(value: &[u8]) -> Option<(Base, i32)> {
    let text = std::str::from_utf8(c_string(value)).ok()?;
    let text = text.strip_suffix('\n').unwrap_or(text);
    let base = match text.get(..1)? {
        "U" => Base::Upper,
        "L" => Base::Lower,
        _ => return None,
    };
    // Rust reads one sign, and an `U1` without one, which has to be refused.
    let number = text.get(1..)?;
    if !number.starts_with(['+', '-']) || value.len() > nlink::MAX_LEN {
        return None;
    }
    Some((base, number.parse().ok()?))
}

/// Checks `nlink`.
pub(crate) fn check_nlink(value: &[u8]) {
    let parsed = Nlink::parse(value).ok();
    assert_eq!(parsed.map(|n| (n.base, n.diff)), nlink(value));
    if let Some(parsed) = parsed {
        assert_eq!(Nlink::parse(&parsed.encode()), Ok(parsed));
    }
}

/// Checks `nlink` for these link counts.
pub(crate) fn check_nlink_counts(union: u32, real: u32) {
    let small = |count| i32::try_from(count).is_ok_and(|count| count > 0);
    for base in [Base::Upper, Base::Lower] {
        let nlink = Nlink::new(base, union, real);
        assert_eq!(Nlink::parse(&nlink.encode()), Ok(nlink));
        assert_eq!(nlink.apply(real), Some(union).filter(|&u| small(u)));
    }
}

/// Checks `metacopy`.
pub(crate) fn check_metacopy(value: &[u8]) {
    let parsed = Metacopy::parse(value);
    let wanted = match (value, value.len()) {
        (_, 0) => None,
        (_, 1..=3) => Some(MetacopyError::TooSmall),
        (_, 69..) => Some(MetacopyError::TooLong),
        ([0, len, ..], n) if usize::from(*len) == n => None,
        ([0, ..], _) => Some(MetacopyError::Size),
        _ => Some(MetacopyError::Version),
    };
    assert_eq!(parsed.err(), wanted);
    assert_eq!(
        metacopy::check_len(value.len()).is_ok(),
        wanted != Some(MetacopyError::TooSmall)
    );

    if let Ok(parsed) = parsed {
        let mut buf = [0xee; metacopy::MAX_LEN];
        let encoded = parsed.encode(&mut buf);
        let says_something = value.len() >= 4 && value[2..4] != [0, 0];
        assert_eq!(encoded, if says_something { value } else { b"" });
        let digest = parsed.digest();
        assert_eq!(digest.is_some(), value.len() >= 4 && value[3] != 0);
        if let Some((algorithm, digest)) = digest {
            assert_eq!((algorithm, digest), (value[3], &value[4..]));
        }
    }
}

/// Checks `protattr`.
pub(crate) fn check_protattr(value: &[u8]) {
    let valid = (1..=protattr::MAX_LEN).contains(&value.len())
        && value.iter().all(|flag| b"ai".contains(flag));
    let wanted = valid.then(|| Protattr {
        append: value.contains(&b'a'),
        immutable: value.contains(&b'i'),
    });
    let parsed = Protattr::parse(value).ok();
    assert_eq!(parsed, wanted);
    if let Some(parsed) = parsed {
        let encoded = parsed.encode().unwrap();
        assert_eq!(Protattr::parse(&encoded), Ok(parsed));
    }
}
