// SPDX-License-Identifier: GPL-2.0
//! The header for C says the same as the crate.

use std::collections::HashMap;

use ioctls::handle::{self, Handle};
use ioctls::histogram;
use ioctls::layer::{self, attribute, Layer};
use ioctls::stack::{self, Checkpoint, Drop, Push, Rollback, StackEntry};
use ioctls::stats::Stats;
use ioctls::{request, Exchange, Field};

const HEADER: &str = include_str!("../../../include/uapi/linux/rovl.h");

/// The header without comments.
fn code() -> String {
    let mut code = String::new();
    let mut rest = HEADER;
    while let Some((before, comment)) = rest.split_once("/*") {
        code.push_str(before);
        rest = comment.split_once("*/").expect("an end of each comment").1;
    }
    code + rest
}

/// The constants that are plain numbers.
fn constants() -> HashMap<String, u64> {
    let mut constants = HashMap::new();
    for line in code().lines() {
        let mut words = line.split_whitespace();
        if words.next() != Some("#define") {
            continue;
        }
        let (Some(name), Some(value)) = (words.next(), words.next()) else {
            continue;
        };
        let number = match value.strip_prefix("0x") {
            Some(digits) => u64::from_str_radix(digits, 16),
            None => value.parse(),
        };
        if let Ok(number) = number {
            constants.insert(name.to_owned(), number);
        }
    }
    constants
}

/// The members of a structure, laid out as C does it.
fn members(name: &str) -> Vec<(String, usize, usize, usize)> {
    let (code, constants) = (code(), constants());
    let (_, body) = code
        .split_once(&format!("struct {name} {{"))
        .expect("the structure");
    let (body, _) = body.split_once('}').expect("its end");
    let mut offset = 0usize;
    let mut members = Vec::new();
    for member in body
        .split(';')
        .map(str::trim)
        .filter(|text| !text.is_empty())
    {
        let (kind, name) = member.split_once(' ').expect("a type and a name");
        let size = match kind {
            "__u8" => 1,
            "__u32" | "__s32" => 4,
            "__u64" => 8,
            _ => panic!("the type {kind}"),
        };
        let (name, count) = match name.split_once('[') {
            Some((name, count)) => (name, constants[count.trim_end_matches(']')] as usize),
            None => (name, 1),
        };
        offset = offset.next_multiple_of(size);
        members.push((name.to_owned(), offset, size, count));
        offset += size * count;
    }
    members
}

fn compare<T: Exchange>() {
    let ours = T::FIELDS
        .iter()
        .map(|field: &Field| (field.name.to_owned(), field.offset, field.size, field.count));
    let theirs = members(T::NAME);
    assert_eq!(ours.collect::<Vec<_>>(), theirs, "{}", T::NAME);
    let (_, offset, size, count) = theirs.last().expect("a member");
    assert_eq!(offset + size * count, T::LEN, "{}", T::NAME);
    assert_eq!(
        T::LEN % 8,
        0,
        "{}: 32-bit callers have another size",
        T::NAME
    );
    assert!(T::FIRST_LEN <= T::LEN);
}

#[test]
fn structures() {
    compare::<Stats>();
    compare::<Layer>();
    compare::<Handle>();
    compare::<StackEntry>();
    compare::<Checkpoint>();
    compare::<Rollback>();
    compare::<Push>();
    compare::<Drop>();
}

/// Documentation/observing.rst has the place of each member, but of the two that all have.
#[test]
fn places_are_documented() {
    const TEXT: &str = include_str!("../../../Documentation/observing.rst");
    let live = [
        StackEntry::FIELDS,
        Checkpoint::FIELDS,
        Rollback::FIELDS,
        Push::FIELDS,
        Drop::FIELDS,
    ]
    .concat();
    let members = [Stats::FIELDS, Layer::FIELDS, Handle::FIELDS, &live].concat();
    for Field { name, offset, .. } in members {
        let said = match name {
            "size" | "flags" => continue,
            "copy_up_ns" | "sync_ns" => format!("``{name}`` from byte {offset} on"),
            _ => format!("   {offset}, ``{name}``"),
        };
        assert!(TEXT.contains(&said), "{said}");
    }
    for (bit, name) in attribute::NAMES.iter().enumerate() {
        let said = format!("   {bit}, ``{}``", name.to_uppercase());
        assert!(TEXT.contains(&said), "{said}");
    }
    for (name, structure, number, len) in [
        ("GET_STATS", Stats::NAME, request::GET_STATS, Stats::LEN),
        ("GET_LAYER", Layer::NAME, request::GET_LAYER, Layer::LEN),
        ("GET_HANDLE", Handle::NAME, request::GET_HANDLE, Handle::LEN),
        (
            "GET_STACK",
            StackEntry::NAME,
            request::GET_STACK,
            StackEntry::LEN,
        ),
        (
            "CHECKPOINT",
            Checkpoint::NAME,
            request::CHECKPOINT,
            Checkpoint::LEN,
        ),
        ("ROLLBACK", Rollback::NAME, request::ROLLBACK, Rollback::LEN),
        ("PUSH", Push::NAME, request::PUSH, Push::LEN),
        ("DROP", Drop::NAME, request::DROP, Drop::LEN),
    ] {
        let said = format!(
            "   * - ``ROVL_IOC_{name}``\n     - ``{number:#x}``\n     - ``struct {structure}``, {len} bytes"
        );
        assert!(TEXT.contains(&said), "{said}");
    }
}

#[test]
fn first_versions_stay() {
    // What a program was built with must go on working: these never change.
    assert_eq!(Stats::FIRST_LEN, 888);
    assert_eq!(Layer::FIRST_LEN, 112);
    assert_eq!(Handle::FIRST_LEN, 160);
    assert_eq!(StackEntry::FIRST_LEN, 616);
    assert_eq!(Checkpoint::FIRST_LEN, 96);
    assert_eq!(Rollback::FIRST_LEN, 56);
    assert_eq!(Push::FIRST_LEN, 96);
    assert_eq!(Drop::FIRST_LEN, 48);
}

#[test]
fn numbers() {
    let constants = constants();
    for (name, value) in [
        ("ROVL_IOC_TYPE", u64::from(request::TYPE)),
        ("ROVL_BUCKETS", histogram::BUCKETS as u64),
        ("ROVL_OBJECT", u64::from(layer::OBJECT)),
        ("ROVL_NO_LAYER", u64::from(layer::NONE)),
        ("ROVL_LAYER_WORDS", (layer::MAX_LAYERS / 64) as u64),
        ("ROVL_HANDLE_BYTES", handle::MAX_LEN as u64),
        ("ROVL_NAME_BYTES", stack::NAME_LEN as u64),
        ("ROVL_PATH_BYTES", stack::PATH_LEN as u64),
        ("ROVL_STACK_UPPER", u64::from(stack::UPPER)),
        ("ROVL_STACK_CHECKPOINT", u64::from(stack::CHECKPOINT)),
        ("ROVL_STACK_PUSHED", u64::from(stack::PUSHED)),
    ] {
        assert_eq!(constants[name], value, "{name}");
    }
    for (bit, name) in attribute::NAMES.iter().enumerate() {
        let name = format!("ROVL_LAYER_{}", name.to_uppercase());
        assert_eq!(constants[&name], 1 << bit, "{name}");
    }
    assert_eq!(attribute::VERIFIED, 1 << (attribute::NAMES.len() - 1));
}

#[test]
fn requests() {
    let code = code();
    for (name, number, request) in [
        ("ROVL_IOC_GET_STATS", 0x00, request::GET_STATS),
        ("ROVL_IOC_GET_LAYER", 0x01, request::GET_LAYER),
        ("ROVL_IOC_GET_HANDLE", 0x02, request::GET_HANDLE),
        ("ROVL_IOC_GET_STACK", 0x03, request::GET_STACK),
        ("ROVL_IOC_CHECKPOINT", 0x20, request::CHECKPOINT),
        ("ROVL_IOC_ROLLBACK", 0x21, request::ROLLBACK),
        ("ROVL_IOC_PUSH", 0x22, request::PUSH),
        ("ROVL_IOC_DROP", 0x23, request::DROP),
    ] {
        let text = format!("{name}\t_IOWR(ROVL_IOC_TYPE, {number:#04x}, __u8[8])");
        assert!(code.contains(&text), "{text}");
        // Direction, size, type and number, as include/uapi/asm-generic/ioctl.h puts them.
        assert_eq!(
            request,
            (3 << 30) | (8 << 16) | (0xf7 << 8) | number,
            "{name}"
        );
    }
}

#[test]
fn bytes_and_back() {
    let mut stats = Stats::new();
    stats.lookups_positive = 0x0102_0304_0506_0708;
    stats.sync_ns[histogram::BUCKETS - 1] = 9;
    let mut bytes = [0xff; Stats::LEN];
    stats.put(&mut bytes);
    assert_eq!(bytes[8..16], 0x0102_0304_0506_0708u64.to_ne_bytes());
    assert_eq!(bytes[Stats::LEN - 8..], 9u64.to_ne_bytes());
    assert_eq!(Stats::from_bytes(&bytes), stats);
    // Of what is cut off in the middle of a member, that part is there.
    let cut = Stats::from_bytes(&bytes[..16]);
    assert_eq!(
        (cut.lookups_positive, cut.sync_ns),
        (stats.lookups_positive, [0; 40])
    );
    let mut short = [0xff; 12];
    stats.put(&mut short);
    assert_eq!(short, bytes[..12]);
}
