// SPDX-License-Identifier: GPL-2.0

//! Property tests: on any bytes the crate does what a small model does, and does not panic.
//!
//! Plain random bytes seldom look like anything, so each format also gets bytes that nearly are it.

mod model;

use model::{handle, names, options, values};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;

/// Any bytes.
fn bytes(max: usize) -> impl Strategy<Value = Vec<u8>> {
    vec(any::<u8>(), 0..=max)
}

/// Bytes made of a few pieces, the ones that mean something to a format.
fn pieces(alphabet: &'static [&'static [u8]], max: usize) -> impl Strategy<Value = Vec<u8>> {
    vec(select(alphabet), 0..=max).prop_map(|pieces| pieces.concat())
}

/// Mount options do not contain NUL.
fn without_nul(mut text: Vec<u8>) -> Vec<u8> {
    text.retain(|&byte| byte != 0);
    text
}

fn option_text() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        bytes(64).prop_map(without_nul),
        pieces(&[b":", b"::", b"\\", b"/a", b"b", b",", b"="], 12),
        pieces(
            &[b"/a", b"/b", b":", b":", b"::", br"\:", br"\,", br"\\", b",", b"k="],
            40
        ),
    ]
}

/// A handle with the header right, or one byte of it wrong.
fn handle_value() -> impl Strategy<Value = Vec<u8>> {
    let byte = prop_oneof![any::<u8>(), 0..10_u8];
    (bytes(160), 0..6_usize, byte, any::<bool>()).prop_map(|(rest, at, byte, cut)| {
        let len = u8::try_from(rest.len() + 4).unwrap();
        let mut value = [&[0, 0xfb, len, 0], rest.as_slice()].concat();
        if let Some(wrong) = value.get_mut(at).filter(|_| at < 4) {
            *wrong = byte;
        }
        if cut {
            value.truncate(usize::from(byte));
        }
        value
    })
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 2000,
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn lowerdir(option in option_text()) {
        options::check_lowerdir(&option);
    }

    #[test]
    fn unescape(text in option_text()) {
        options::check_unescape(&text);
    }

    #[test]
    fn mount_data(data in option_text()) {
        options::check_mount_data(&data);
    }

    #[test]
    fn xattr_names(
        namespace in select(names::NAMESPACES.as_slice()),
        name in prop_oneof![
            bytes(300),
            pieces(&[b"trusted.", b"user.", b"overlay.", b"overlay", b"opaque", b"\0"], 6),
        ],
        trusted: bool,
    ) {
        names::check_escape(namespace, &name);
        names::check_name(namespace, &name);
        names::check_list(namespace, &name, trusted);
    }

    #[test]
    fn xattr_list(
        namespace in select(names::NAMESPACES.as_slice()),
        list in pieces(
            &[
                b"trusted.overlay.", b"user.overlay.", b"overlay.", b"trusted.", b"user.",
                b"opaque\0", b"x\0", b"\0",
            ],
            20,
        ),
        trusted: bool,
    ) {
        names::check_list(namespace, &list, trusted);
    }

    #[test]
    fn short_values(value in prop_oneof![
        bytes(20),
        pieces(&[b"y", b"x", b"a", b"i", b"0"], 3),
        pieces(&[b"a", b"i"], 40),
    ]) {
        values::check_markers(&value);
        values::check_protattr(&value);
    }

    #[test]
    fn redirect(value in prop_oneof![bytes(20), pieces(&[b"/", b"a", b"bc", b"\0"], 8)]) {
        values::check_redirect(&value);
    }

    #[test]
    fn nlink(
        value in prop_oneof![
            bytes(14),
            pieces(&[b"U", b"L", b"+", b"-", b"0", b"21474836", b"47", b"48", b"\n", b"\0"], 6),
            "[UL][+-][0-9]{1,11}\n?".prop_map(String::into_bytes),
        ],
        union: u32,
        real: u32,
    ) {
        values::check_nlink(&value);
        values::check_nlink_counts(union, real);
        values::check_nlink_counts(union % 8, real % 8);
    }

    #[test]
    fn metacopy(value in bytes(72), mut sized in vec(any::<u8>(), 4..=70), known: bool) {
        values::check_metacopy(&value);
        sized[1] = u8::try_from(sized.len()).unwrap();
        if known {
            sized[0] = 0;
            sized[2] = 0;
        }
        values::check_metacopy(&sized);
    }

    #[test]
    fn handle_values(value in prop_oneof![bytes(300), handle_value()]) {
        handle::check_value(&value);
        handle::check_wire(&value);
        handle::check_wire(&[&[0; 3], value.as_slice()].concat());
        handle::check_wire(&[value.as_slice(), &[0; 3]].concat());
    }

    #[test]
    fn handle_fields(fid_type: u8, fid in bytes(132), words: bool, uuid: [u8; 16], upper: bool) {
        let len = if words { fid.len() / 4 * 4 } else { fid.len() };
        handle::check_encode(fid_type, &fid[..len], &uuid, upper);
    }

    #[test]
    fn index_name(
        name in prop_oneof![
            bytes(80),
            "00[fF][bB](15|19|1d)0[0-4][0-9a-fA-F]{30,120}[0-9+g]?".prop_map(String::into_bytes),
            handle_value().prop_map(|value| {
                value.iter().flat_map(|byte| format!("{byte:02x}").into_bytes()).collect()
            }),
        ],
        id: u32,
    ) {
        handle::check_index(&name);
        handle::check_temp_name(id);
    }
}

#[test]
fn many_layers() {
    for count in [499, 500, 501, 1000] {
        for separator in [b":".as_slice(), b"::", b"\\:"] {
            options::check_lowerdir(&vec![b"/a".as_slice(); count].join(separator));
        }
    }
}
