// SPDX-License-Identifier: GPL-2.0
//! Random values: names, modes, lengths, attributes.

use fastrand::Rng;
use rovl_testing::acl;
use rovl_testing::caller::{ALICE, BOB};

use crate::actor::TEAM;

/// Names of entries: few, so that paths collide, and one as long as a name can be.
pub const NAMES: [&str; 7] = ["a", "b", "c", "d", "e", "f", "~255n"];

/// A file capability, version 2: one permitted capability for any executor.
const CAPABILITY: &str = "0x0000000200200000000000000000000000000000";

/// One of a list.
pub fn pick<T: Copy>(rng: &mut Rng, list: &[T]) -> T {
    list[rng.usize(..list.len())]
}

/// A name; the long one seldom.
pub fn name(rng: &mut Rng) -> &'static str {
    if rng.u8(0..40) == 0 {
        NAMES[6]
    } else {
        pick(rng, &NAMES[..6])
    }
}

/// Permission bits of a directory, mostly such that everybody can use it.
pub fn dir_mode(rng: &mut Rng) -> &'static str {
    pick(
        rng,
        &[
            "777", "777", "777", "755", "755", "2777", "2775", "1777", "775", "700", "500",
        ],
    )
}

/// Permission bits of anything else.
pub fn file_mode(rng: &mut Rng) -> &'static str {
    pick(
        rng,
        &[
            "666", "666", "644", "644", "777", "600", "4755", "2755", "6777", "2644", "444", "0",
        ],
    )
}

/// Root, the ordinary users of the tests, their team, somebody else.
pub fn id(rng: &mut Rng) -> String {
    let number = pick(rng, &[0, ALICE, ALICE, BOB, TEAM, 7]);
    if rng.u8(0..5) == 0 {
        "-".to_owned()
    } else {
        number.to_string()
    }
}

/// A length of content.
pub fn length(rng: &mut Rng) -> u32 {
    match rng.u8(0..16) {
        0..=4 => rng.u32(0..20),
        5..=8 => 4096,
        9..=12 => rng.u32(0..10_000),
        13..=14 => rng.u32(0..40_000),
        _ => rng.u32(0..200_000),
    }
}

/// A length or offset that allocations can use: often whole blocks.
pub fn aligned(rng: &mut Rng) -> u32 {
    match rng.u8(0..4) {
        0 => rng.u32(0..20_000),
        _ => 4096 * rng.u32(0..12),
    }
}

/// A time for utimensat(2).
pub fn time(rng: &mut Rng) -> String {
    match rng.u8(0..6) {
        0 => "now".to_owned(),
        1 => "-".to_owned(),
        _ => rng.u32(1..1_000_000).to_string(),
    }
}

/// Type, permission bits and number of a special file.
pub fn node(rng: &mut Rng, with_devices: bool) -> String {
    let everybody = ["fifo", "socket", "file", "fifo"];
    let root = [
        "char 1:3",
        "char 1:5",
        "block 7:200",
        "char 0:0",
        "block 0:0",
    ];
    if with_devices && rng.bool() {
        let text = pick(rng, &root);
        let (kind, dev) = text.split_once(' ').unwrap_or((text, "0:0"));
        return format!("{kind} {} {dev}", file_mode(rng));
    }
    format!("{} {} 0:0", pick(rng, &everybody), file_mode(rng))
}

/// Text of a symbolic link.
pub fn target(rng: &mut Rng) -> String {
    let (first, second) = (name(rng), name(rng));
    match rng.u8(0..8) {
        0..=2 => first.to_owned(),
        3..=4 => format!("{first}/{second}"),
        5 => format!("../{first}"),
        6 => ".".to_owned(),
        _ => "a-long-name-of-nothing/".repeat(rng.usize(1..100)),
    }
}

/// Bytes as hexadecimal digits.
pub fn hex(bytes: &[u8]) -> String {
    let digits: Vec<String> = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    format!("0x{}", digits.concat())
}

/// An ACL; now and then one that is not well-formed.
pub fn acl_value(rng: &mut Rng) -> String {
    let perm = |rng: &mut Rng| pick(rng, &[7, 7, 6, 5, 4, 0, 1]);
    let mut entries = vec![acl::owner(perm(rng))];
    match rng.u8(0..6) {
        0 => (),
        1 => entries.push(acl::user(BOB, perm(rng))),
        _ => entries.push(acl::user(ALICE, perm(rng))),
    }
    let named = entries.len() > 1;
    entries.push(acl::group_owner(perm(rng)));
    if rng.bool() && named {
        entries.push(acl::group(TEAM, perm(rng)));
    }
    if named {
        entries.push(acl::mask(perm(rng)));
    }
    entries.push(acl::other(perm(rng)));
    if rng.u8(0..20) == 0 {
        entries.truncate(rng.usize(..entries.len()));
    }
    hex(&acl::value(&entries))
}

/// Names of extended attributes for somebody who may set all of them.
const ANY: [&str; 15] = [
    "user.a",
    "user.b",
    "trusted.t",
    "trusted.overlay.opaque",
    "trusted.overlay.x",
    "trusted.overlay.overlay.opaque",
    "trusted.overlay.overlay.overlay.x",
    "user.overlay.opaque",
    "user.overlay.x",
    "user.overlay.overlay.redirect",
    "security.capability",
    "security.other",
    acl::ACCESS,
    acl::DEFAULT,
    "trusted.overlay.",
];

/// Those that the owner of a file may set.
const OWNERS: [&str; 6] = [
    "user.a",
    "user.b",
    "user.overlay.opaque",
    "user.overlay.x",
    acl::ACCESS,
    acl::DEFAULT,
];

/// The name of an extended attribute.
pub fn attribute(rng: &mut Rng, mighty: bool, is_dir: bool) -> String {
    let list: &[&str] = if mighty { &ANY } else { &OWNERS };
    let name = pick(rng, list);
    if name == acl::DEFAULT && !is_dir && rng.u8(0..8) > 0 {
        return acl::ACCESS.to_owned();
    }
    match rng.u8(0..40) {
        0 => format!("user.{}", "n".repeat(rng.usize(200..256))),
        1 if mighty => format!("trusted.overlay.{}", "n".repeat(rng.usize(220..245))),
        2 if mighty => "trusted.".to_owned(),
        3..=5 => {
            let prefix = if mighty { "trusted.overlay." } else { "user." };
            let prefix = pick(rng, &[prefix, "user.overlay.", "user."]);
            let suffix = pick(rng, &["opaque", "overlay.", "overlay.redirect"]);
            format!("{prefix}{}", odd_suffix(rng, suffix))
        }
        _ => name.to_owned(),
    }
}

/// Characters that names of attributes can have; all but those between the words of a script.
const CHARACTERS: &str = "abcxyzABC019._-:/%=,+#@\"'\\\u{1}\u{7f}\u{e9}\u{20ac}";

/// A name of an attribute without its first parts: nearly `known`, or anything at all, often as long as
/// the limit allows or longer.
pub fn odd_suffix(rng: &mut Rng, known: &str) -> String {
    let mut any = |length: usize| -> String {
        let characters: Vec<char> = CHARACTERS.chars().collect();
        (0..length).map(|_| pick(rng, &characters)).collect()
    };
    let (one, some) = (any(1), any(12));
    match rng.u8(0..8) {
        0 => format!("{known}{one}"),
        1 => format!("{one}{known}"),
        2 => known[..rng.usize(..=known.len())].to_owned(),
        3 => known.to_uppercase(),
        4 => format!("overlay.{known}"),
        5 => some,
        6 => format!("{known}.{}", "n".repeat(rng.usize(200..245))),
        _ => {
            let length = rng.usize(1..240);
            (0..length)
                .map(|_| char::from(rng.u8(b'!'..=b'~')))
                .collect()
        }
    }
}

/// A value for the attribute `name`.
pub fn attribute_value(rng: &mut Rng, name: &str) -> String {
    match name {
        acl::ACCESS | acl::DEFAULT => acl_value(rng),
        "security.capability" => CAPABILITY.to_owned(),
        _ if name.ends_with("opaque") => "y".to_owned(),
        _ => match rng.u8(0..12) {
            0 => "0x".to_owned(),
            1 => format!("fill:{}:{}", rng.u32(0..3000), rng.u8(..)),
            2 => format!("fill:{}:1", pick(rng, &[4000, 60_000, 65_536])),
            _ => format!("value{}", rng.u8(..)),
        },
    }
}

/// Flags of chattr(1): often none, so that what was fixed can be changed again.
pub fn file_flags(rng: &mut Rng) -> &'static str {
    pick(rng, &["0", "0", "0", "80", "40", "8", "20", "10"])
}
