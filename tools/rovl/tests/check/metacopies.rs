// SPDX-License-Identifier: GPL-2.0

//! Files without data.

use super::support::handle::enable_verity;
use super::support::scene::Scene;
use super::Case;
use rovl::check::Kind;
use std::fs;

/// The cases.
pub const CASES: &[Case] = &[
    case!(
        MetacopyLength,
        "u/f",
        |s| {
            without_data(s);
            s.set("u/f", "metacopy", b"ab");
            None
        },
        "metacopy=on",
        "test \"$(cat m/f)\" = data"
    ),
    case!(
        MetacopyFormat,
        "u/f",
        |s| {
            without_data(s);
            s.set("u/f", "metacopy", b"\x09\x05\0\x01\0");
            None
        },
        "metacopy=on,verity=on",
        "test \"$(cat m/f)\" = data"
    ),
    case!(MetacopyNoData, "u/f", |s| {
        s.file("u/f", "").set("u/f", "metacopy", b"");
        None
    }),
    case!(
        MetacopySize,
        "u/f",
        |s| {
            without_data(s);
            let file = fs::File::options().write(true).open(s.at("u/f"));
            file.and_then(|file| file.set_len(3)).expect("a length");
            None
        },
        "metacopy=on",
        "test $(stat -c %s m/f) = 4"
    ),
    case!(DigestMismatch, "u/f", |s| {
        if !s.on_verity() {
            return Some("a file system with fs-verity");
        }
        without_data(s);
        let value = [b"\0\x24\0\x01".as_slice(), &[7; 32]].concat();
        s.set("u/f", "metacopy", &value);
        let done = enable_verity(&s.at("l/f"));
        (!done).then_some("a kernel with fs-verity")
    }),
    case!(DigestUnprotected, "u/f", |s| {
        without_data(s);
        let value = [b"\0\x24\0\x01".as_slice(), &[7; 32]].concat();
        s.set("u/f", "metacopy", &value);
        None
    }),
];

/// A file of which only the attributes were copied up.
fn without_data(s: &Scene) {
    s.file("l/f", "data");
    s.mounted("metacopy=on", "chmod 600 m/f");
    assert_eq!(s.get("u/f", "metacopy"), Some(Vec::new()));
}
