// SPDX-License-Identifier: GPL-2.0
//! Random layers: ordinary ones, and such as nobody who means well makes.

use fastrand::Rng;
use rovl_testing::verity::{SHA256, SHA512};

use super::model::{child, Kind, Object, Tree};
use super::moved::{self, Layer};
use super::value;
use crate::script::{Place, Step};

/// Steps that fill one ordinary lower layer.
const STEPS: usize = 18;

/// Suffixes of the overlay's own attributes, and some that are nobody's.
const PRIVATE: [&str; 14] = [
    "opaque",
    "redirect",
    "origin",
    "impure",
    "nlink",
    "upper",
    "uuid",
    "metacopy",
    "protattr",
    "whiteout",
    "unknown",
    "overlay.opaque",
    "overlay.whiteout",
    "data",
];

/// What the lower layers of a script have in common.
#[derive(Debug, Clone, Copy)]
pub struct Manner {
    /// Whether the overlay's attributes are those of users.
    pub userxattr: bool,
    /// Whether files can have fs-verity.
    pub verity: bool,
    /// How many of 24 objects are files whose data is in a layer below.
    pub without_data: u8,
    /// Whether layers have directories that were renamed.
    pub moved: bool,
    /// How many layers there are above those that only hold data.
    pub merged: usize,
}

impl Manner {
    /// The namespace of the overlay's attributes.
    pub fn prefix(self) -> &'static str {
        if self.userxattr {
            "user"
        } else {
            "trusted"
        }
    }
}

/// Fills the lower layer `number`; what it has then. `below` is what those below it have, with their
/// numbers.
pub fn fill(
    rng: &mut Rng,
    number: usize,
    manner: Manner,
    below: &[(usize, Tree)],
    steps: &mut Vec<Step>,
) -> Tree {
    let place = Place::Lower(number);
    let mut tree = Tree::default();
    steps.push(Step::new(place, "chmod / 777"));
    if manner.moved && number < manner.merged {
        let (tree, steps) = (&mut tree, &mut *steps);
        moved::leave(rng, &mut Layer { place, tree, steps }, manner, below);
    }
    for name in &value::NAMES[..4] {
        let free = !tree.objects.contains_key(*name) && !tree.whiteouts.contains(*name);
        if rng.u8(0..3) > 0 && free {
            let mode = value::dir_mode(rng);
            make_dir(&mut tree, place, name, mode, steps);
        }
    }
    for _ in 0..rng.usize(STEPS / 2..STEPS * 3 / 2) {
        if rng.u8(0..24) < manner.without_data && (!below.is_empty() || rng.u8(0..8) == 0) {
            without_data(rng, &mut tree, place, manner, below, steps);
        } else {
            ordinary(rng, &mut tree, place, manner, steps);
        }
    }
    tree
}

/// Makes a file whose data is in a layer below: its length, the mark with or without a digest, and
/// the place of the data. Now and then one of them is wrong, or there is no data.
fn without_data(
    rng: &mut Rng,
    tree: &mut Tree,
    place: Place,
    manner: Manner,
    below: &[(usize, Tree)],
    steps: &mut Vec<Step>,
) {
    let path = place_in(rng, tree);
    let layer = below.get(rng.usize(..below.len().max(1)));
    let found = layer.and_then(|(number, tree)| {
        let wanted = if rng.u8(0..10) > 0 {
            Kind::File
        } else {
            Kind::Dir
        };
        let all = tree.objects.iter();
        let all: Vec<_> = all.filter(|(_, object)| object.kind == wanted).collect();
        let (path, object) = all.get(rng.usize(..all.len().max(1)))?;
        Some((*number, (*path).clone(), object.size))
    });
    let (number, data, size) = found.unwrap_or((0, child("/", value::name(rng)), 5000));
    let size = if rng.u8(0..10) > 0 {
        size
    } else {
        value::length(rng)
    };
    let prefix = manner.prefix();
    let mut add = |text: String| steps.push(Step::new(place, &text));
    add(format!("put {path} 0 0"));
    add(format!("chmod {path} {}", value::file_mode(rng)));
    add(format!("truncate {path} {size}"));
    let mark = value::pick(rng, &["0x", "0x", "0x00040000"]);
    add(format!(
        "setxattr {path} {prefix}.overlay.metacopy {mark} -"
    ));
    if manner.verity && rng.u8(0..4) > 0 {
        let flipped = if rng.u8(0..4) > 0 { -1 } else { rng.i32(0..40) };
        add(format!("digest {path} ../lower{number}/{data} {flipped}"));
    }
    match rng.u8(0..12) {
        0 => (),
        1 => add(format!(
            "setxattr {path} {prefix}.overlay.redirect {} -",
            value::name(rng)
        )),
        _ => add(format!(
            "setxattr {path} {prefix}.overlay.redirect /{data} -"
        )),
    }
    let mut object = Object::new(Kind::File, 0o666, 0);
    object.size = size;
    tree.add(&path, object);
}

/// Makes a directory in a layer.
pub fn make_dir(tree: &mut Tree, place: Place, path: &str, mode: &str, steps: &mut Vec<Step>) {
    steps.push(Step::new(place, &format!("mkdir {path} {mode}")));
    steps.push(Step::new(place, &format!("chmod {path} {mode}")));
    let bits = u32::from_str_radix(mode, 8).unwrap_or(0);
    tree.add(path, Object::new(Kind::Dir, bits, 0));
}

/// A name in a directory of `tree` that is free, or one that may be there.
fn place_in(rng: &mut Rng, tree: &Tree) -> String {
    let dirs = tree.objects.iter();
    let dirs: Vec<&String> = dirs
        .filter(|(_, object)| object.kind == Kind::Dir)
        .map(|(path, _)| path)
        .collect();
    let number = rng.usize(..dirs.len() + 1);
    let dir = dirs.get(number).map_or("/", |path| path.as_str());
    let mut path = child(dir, value::name(rng));
    for _ in 0..4 {
        if !tree.objects.contains_key(&path) {
            break;
        }
        path = child(dir, value::name(rng));
    }
    path
}

fn existing(rng: &mut Rng, tree: &Tree) -> Option<(String, Kind)> {
    let number = rng.usize(..tree.objects.len().max(1));
    let (path, object) = tree.objects.iter().nth(number)?;
    Some((path.clone(), object.kind))
}

fn ordinary(rng: &mut Rng, tree: &mut Tree, place: Place, manner: Manner, steps: &mut Vec<Step>) {
    let new = place_in(rng, tree);
    let old = existing(rng, tree);
    let mut add = |text: String| steps.push(Step::new(place, &text));
    match rng.u8(0..24) {
        0..=3 => make_dir(tree, place, &new, value::dir_mode(rng), steps),
        4..=5 if !tree.objects.contains_key(&new) => {
            tree.whiteouts.insert(new.clone());
            add(format!("mknod {new} char 0 0:0"));
        }
        6 => {
            if let Some((path, Kind::Dir)) = old {
                let prefix = manner.prefix();
                add(format!("setxattr {path} {prefix}.overlay.opaque y -"));
                tree.opaque.insert(path);
            }
        }
        7..=8 => {
            if let Some((path, kind @ (Kind::File | Kind::Node))) = old {
                add(format!("link {path} {new}"));
                tree.add(&new, Object::new(kind, 0o666, 0));
            }
        }
        9..=10 => {
            add(format!("symlink {} {new}", value::target(rng)));
            tree.add(&new, Object::new(Kind::Link, 0o777, 0));
        }
        11 => {
            add(format!("mknod {new} {}", value::node(rng, false)));
            tree.add(&new, Object::new(Kind::Node, 0o666, 0));
        }
        12..=17 => {
            if let Some((path, kind)) = old {
                let text = attribute(rng, tree, &path, kind);
                add(text);
            }
        }
        18 => {
            let mut object = Object::new(Kind::File, 0o755, 0);
            object.program = true;
            add(format!("program {new}"));
            let mode = value::pick(rng, &["755", "755", "711", "4755", "2755", "6711"]);
            add(format!("chmod {new} {mode}"));
            tree.add(&new, object);
        }
        _ => {
            let mut object = Object::new(Kind::File, 0o666, 0);
            object.size = value::length(rng);
            add(format!("put {new} {} {}", object.size, rng.u8(..)));
            add(format!("chmod {new} 666"));
            if manner.verity && rng.u8(0..4) > 0 {
                add(format!(
                    "verity {new} {}",
                    value::pick(rng, &[SHA256, SHA256, SHA512])
                ));
            }
            tree.add(&new, object);
        }
    }
}

/// A change of an attribute of an object in a layer.
fn attribute(rng: &mut Rng, tree: &mut Tree, path: &str, kind: Kind) -> String {
    match rng.u8(0..6) {
        0 | 1 if kind != Kind::Link => {
            let mode = match kind {
                Kind::Dir => value::dir_mode(rng),
                _ => value::file_mode(rng),
            };
            if let Some(object) = tree.objects.get_mut(path) {
                object.mode = u32::from_str_radix(mode, 8).unwrap_or(0);
            }
            format!("chmod {path} {mode}")
        }
        2 => {
            let uid = value::pick(rng, &[0, 1001, 1002, 7]);
            if let Some(object) = tree.objects.get_mut(path) {
                object.uid = uid;
            }
            format!("chown {path} {uid} {}", value::id(rng))
        }
        3 => format!("utimes {path} {} {}", rng.u32(1..99999), rng.u32(1..99999)),
        _ => {
            let name = match kind {
                Kind::Dir | Kind::File => value::attribute(rng, true, kind == Kind::Dir),
                _ => "trusted.t".to_owned(),
            };
            let text = value::attribute_value(rng, &name);
            if let Some(object) = tree.objects.get_mut(path) {
                object.attributes.insert(name.clone());
            }
            format!("setxattr {path} {name} {text} -")
        }
    }
}

/// Steps that put something odd into a layer or into the work directory.
pub fn hostile(rng: &mut Rng, place: Place, tree: &Tree, steps: &mut Vec<Step>) {
    let path = match existing(rng, tree) {
        Some((path, _)) if rng.u8(0..8) > 0 => path,
        _ => child("/", value::name(rng)),
    };
    let new = place_in(rng, tree);
    let mut add = |text: String| steps.push(Step::new(place, &text));
    if place == Place::Work {
        return add(in_work(rng));
    }
    match rng.u8(0..20) {
        0 => add(format!("mknod {} char 0 0:0", value::name(rng))),
        1 => add(format!("mknod {new} char 644 0:0")),
        2 => {
            add(format!("mknod {new} char 0 0:0"));
            add(format!("link {new} {}", place_in(rng, tree)));
        }
        3 => {
            let prefix = value::pick(rng, &["trusted", "user"]);
            let size = value::pick(rng, &[0, 0, 0, 5]);
            add(format!("put {new} {size} 1"));
            add(format!(
                "setxattr {new} {prefix}.overlay.whiteout {} -",
                private_value(rng, "whiteout")
            ));
            let dir = super::model::parent(&new).to_owned();
            add(format!("setxattr {dir} {prefix}.overlay.opaque x -"));
        }
        4 => add(format!("setxattr / {}", private(rng))),
        5 => {
            add(format!("rmtree {path}"));
            add(format!("mknod {path} {}", value::node(rng, true)));
        }
        6 => {
            add(format!("rmtree {path}"));
            add(format!("mkdir {path} {}", value::dir_mode(rng)));
        }
        7 => {
            let from = value::pick(rng, &["../lower0", "../lower1", "../upper", "."]);
            let (source, _) = existing(rng, tree).unwrap_or((path.clone(), Kind::File));
            let flipped = rng.i32(-20..40);
            let prefix = value::pick(rng, &["trusted", "user"]);
            add(format!("origin {path} {from}/{source} {prefix} {flipped}"));
        }
        8 => add(format!("symlink {} {new}", value::target(rng))),
        9 => add(format!(
            "mkdir {} 755",
            value::pick(rng, &["#1", "#2", "#a", "work", "#zz"])
        )),
        10 => add(format!(
            "setflags {path} {}",
            value::pick(rng, &["20", "10", "80"])
        )),
        _ => add(format!("setxattr {path} {}", private(rng))),
    }
}

fn in_work(rng: &mut Rng) -> String {
    let path = value::pick(
        rng,
        &[
            "work",
            "work/incompat",
            "work/incompat/x",
            "index",
            "work/a",
            "work/a/b",
            "work/a/b/c",
            "work/#1",
            "x",
        ],
    );
    match rng.u8(0..8) {
        0..=2 => format!("mkdir {path} 755"),
        3 => format!("put {path} 10 1"),
        4 => format!("mknod {path} {}", value::node(rng, true)),
        5 => format!("rmtree {path}"),
        6 => format!("setxattr {path} {}", private(rng)),
        _ => format!("symlink {} {path}", value::target(rng)),
    }
}

/// Name, value and flag of one of the overlay's own attributes.
fn private(rng: &mut Rng) -> String {
    let prefix = value::pick(rng, &["trusted", "trusted", "user"]);
    let suffix = value::pick(rng, &PRIVATE);
    let value = private_value(rng, suffix);
    let suffix = match rng.u8(0..4) {
        0 => value::odd_suffix(rng, suffix),
        _ => suffix.to_owned(),
    };
    format!("{prefix}.overlay.{suffix} {value} -")
}

fn private_value(rng: &mut Rng, suffix: &str) -> String {
    if rng.u8(0..4) == 0 {
        return match rng.u8(0..6) {
            0 => "0x".to_owned(),
            1 => value::hex(&[rng.u8(..)]),
            2 => format!("fill:{}:3", value::pick(rng, &[65_536, 65_535, 4000, 1024])),
            3 => format!("fill:{}:4", rng.u32(0..600)),
            4 => "/".repeat(rng.usize(1..30)),
            _ => value::hex(&vec![0; rng.usize(0..40)]),
        };
    }
    let words: &[&str] = match suffix {
        "opaque" => &["y", "x", "n", "yy", "Y"],
        "redirect" => &[
            "a", "/a", "/a/b", "b/c", "/", "//a", "/a//b", ".", "..", "/..", "a/",
        ],
        "impure" => &["y", "n", "yy"],
        "nlink" => &[
            "U+1",
            "L-1",
            "U+0",
            "L+99999999",
            "U-1",
            "x",
            "U",
            "L+",
            "U+1234567890123",
        ],
        "metacopy" => &[
            "0x00040000",
            "0x",
            "0x0004000000",
            "0x01040000",
            "0x00050001ff",
            "x",
        ],
        "protattr" => &[
            "a",
            "i",
            "ai",
            "x",
            "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
            "ia",
            "az",
        ],
        "whiteout" => &["y", "0x", "x"],
        "uuid" => &[
            "0x00112233445566778899aabbccddeeff",
            "0x00112233",
            "0x00000000000000000000000000000000",
        ],
        "origin" | "upper" => return handle(rng),
        _ => &["y", "x", "value"],
    };
    value::pick(rng, words).to_owned()
}

/// Something like a file handle: version, magic, length, flags, type, identifier, bytes.
fn handle(rng: &mut Rng) -> String {
    let len = value::pick(rng, &[21usize, 29, 29, 33, 37, 149, 160]);
    let mut bytes = vec![0u8; len];
    bytes[1] = value::pick(rng, &[0xfb, 0xfb, 0xfb, 0xfc, 0]);
    bytes[2] = value::pick(rng, &[len as u8, len as u8, 21, 0, 255]);
    bytes[3] = value::pick(rng, &[0, 0, 1, 2, 4, 7, 8]);
    bytes[4] = value::pick(rng, &[1, 1, 0x81, 0x82, 0, 0xff, 2]);
    bytes[0] = value::pick(rng, &[0, 0, 0, 1]);
    for byte in &mut bytes[5..] {
        *byte = if rng.bool() { 0 } else { rng.u8(..) };
    }
    value::hex(&bytes)
}
