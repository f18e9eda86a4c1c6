// SPDX-License-Identifier: GPL-2.0
//! Random scripts. Few names and short paths, so that operations meet each other.

use std::collections::BTreeMap;
use std::ops::{Deref, DerefMut};

use fastrand::Rng;
use rovl_testing::acl;

use crate::script::{Place, Script, Step};

const NAMES: [&str; 6] = ["a", "b", "c", "d", "e", "f"];
const MODES: [&str; 8] = ["755", "700", "644", "600", "2775", "1777", "4755", "0"];
const ATTRIBUTES: [&str; 10] = [
    "user.a",
    "user.b",
    "trusted.t",
    "trusted.overlay.opaque",
    "trusted.overlay.x",
    "user.overlay.opaque",
    "user.overlay.x",
    "security.capability",
    acl::ACCESS,
    acl::DEFAULT,
];
/// A file capability, version 2: one permitted capability for any executor.
const CAPABILITY: &str = "0x0000000200200000000000000000000000000000";
/// Steps that fill one lower layer.
const LOWER_STEPS: usize = 20;

/// Random numbers, and what probably exists after the steps so far: without it most steps would
/// fail. It knows nothing of whiteouts, permissions and errors.
struct Source {
    rng: Rng,
    /// Paths, and whether they are directories.
    exists: BTreeMap<String, bool>,
}

impl Deref for Source {
    type Target = Rng;

    fn deref(&self) -> &Rng {
        &self.rng
    }
}

impl DerefMut for Source {
    fn deref_mut(&mut self) -> &mut Rng {
        &mut self.rng
    }
}

impl Source {
    /// The step of `text`; remembers what it makes.
    fn step(&mut self, place: Place, text: &str) -> Step {
        let step = Step::new(place, text);
        let words: Vec<&str> = step.words.iter().map(String::as_str).collect();
        match *words.as_slice() {
            ["mkdir", path, ..] => self.add(path, true),
            ["create" | "put" | "mknod", path, ..]
            | ["link" | "symlink" | "tmpfile", _, path, ..] => self.add(path, false),
            ["unlink" | "rmtree", path] => self.remove(path),
            ["rename", from, to, _] => {
                if let Some(is_dir) = self.exists.get(from).copied() {
                    self.remove(from);
                    self.add(to, is_dir);
                }
            }
            _ => (),
        }
        step
    }

    fn add(&mut self, path: &str, is_dir: bool) {
        let parent = path.rsplit_once('/').map(|(parent, _name)| parent);
        if parent.is_none_or(|parent| self.exists.get(parent) == Some(&true)) {
            self.exists.entry(path.to_owned()).or_insert(is_dir);
        }
    }

    fn remove(&mut self, path: &str) {
        let below = format!("{path}/");
        self.exists
            .retain(|other, _| other != path && !other.starts_with(&below));
    }
}

/// A script whose steps through the mount are `length`.
pub fn script(seed: u64, length: usize) -> Script {
    let mut rng = Source {
        rng: Rng::with_seed(seed),
        exists: BTreeMap::new(),
    };
    let lowers = rng.usize(2..=4);
    let options: &[&str] = match rng.u8(0..6) {
        0 => &["userxattr"],
        1 => &["default_permissions"],
        _ => &[],
    };
    let mut steps = Vec::new();
    for layer in 0..lowers {
        let opaque = if options == ["userxattr"] {
            "user.overlay.opaque"
        } else {
            "trusted.overlay.opaque"
        };
        fill(&mut rng, layer, opaque, &mut steps);
    }
    for _ in 0..length {
        steps.push(step(&mut rng));
    }
    Script {
        lowers,
        options: options.iter().map(|option| (*option).to_owned()).collect(),
        steps,
    }
}

fn fill(rng: &mut Source, layer: usize, opaque: &str, steps: &mut Vec<Step>) {
    let place = Place::Lower(layer);
    for name in &NAMES[..4] {
        if rng.u8(0..3) > 0 {
            steps.push(rng.step(place, &format!("mkdir {name} 755")));
        }
    }
    for _ in 0..LOWER_STEPS {
        let p = path(rng);
        let text = match rng.u8(0..20) {
            0..=2 => format!("mkdir {p} {}", mode(rng)),
            3..=4 => format!("mknod {p} char 0 0:0"),
            5 => format!("setxattr {p} {opaque} y -"),
            6..=7 => format!("link {p} {}", path(rng)),
            8 => format!("symlink {} {p}", path(rng)),
            9 => node(rng, &p),
            10 => format!("chmod {p} {}", mode(rng)),
            11 => format!("chown {p} {} {}", user(rng), user(rng)),
            12 => format!("setxattr {p} user.a lower{layer} -"),
            13 => format!("setxattr {p} {} {} -", acl::DEFAULT, acl(rng)),
            _ => format!("put {p} {} {}", length(rng), rng.u8(..)),
        };
        steps.push(rng.step(place, &text));
    }
}

/// A step through the mount, or one with the mounts.
fn step(rng: &mut Source) -> Step {
    match rng.u16(0..200) {
        0..=1 => return Step::new(Place::Both, "remount"),
        2 => return Step::new(Place::Both, "swap"),
        3 => return Step::new(Place::Both, "drop-caches"),
        _ => (),
    }
    let place = if rng.u8(0..8) == 0 {
        Place::Alice
    } else {
        Place::Root
    };
    let text = match rng.u8(0..20) {
        0..=8 => name_step(rng),
        9..=12 => content_step(rng),
        13..=17 => attribute_step(rng),
        _ => look(rng),
    };
    rng.step(place, &text)
}

fn name_step(rng: &mut Source) -> String {
    let (p, q) = (path(rng), path(rng));
    match rng.u8(0..24) {
        0..=3 => format!("mkdir {p} {}", mode(rng)),
        4 => format!("symlink {q} {p}"),
        5 => node(rng, &p),
        6..=7 => format!("link {p} {q}"),
        8..=10 => format!("unlink {p}"),
        11..=12 => format!("rmdir {p}"),
        13 => format!("rmtree {p}"),
        14..=18 => format!("rename {p} {q} -"),
        19 => format!("rename {p} {q} noreplace"),
        20..=21 => format!("rename {p} {q} exchange"),
        22 => format!("rename {p} {q} whiteout"),
        _ => format!("tmpfile {p} {q} {}", mode(rng)),
    }
}

fn content_step(rng: &mut Source) -> String {
    let (p, seed) = (path(rng), rng.u8(..));
    match rng.u8(0..8) {
        0..=1 => format!("create {p} {}", mode(rng)),
        2..=3 => format!("put {p} {} {seed}", length(rng)),
        4 => format!("write {p} {} {} {seed}", length(rng), length(rng)),
        5 => format!("append {p} {} {seed}", length(rng)),
        6 => format!("truncate {p} {}", length(rng)),
        _ => format!("read {p}"),
    }
}

fn attribute_step(rng: &mut Source) -> String {
    let p = path(rng);
    match rng.u8(0..10) {
        0..=1 => format!("chmod {p} {}", mode(rng)),
        2..=3 => format!("chown {p} {} {}", user(rng), user(rng)),
        4 => format!("utimes {p} {}", rng.u32(1..1_000_000)),
        5..=7 => set_attribute(rng, &p),
        _ => format!("removexattr {p} {}", pick(rng, &ATTRIBUTES)),
    }
}

fn set_attribute(rng: &mut Source, path: &str) -> String {
    let name = pick(rng, &ATTRIBUTES);
    let value = match name {
        acl::ACCESS | acl::DEFAULT => acl(rng),
        "security.capability" => CAPABILITY.to_owned(),
        _ if name.ends_with("opaque") => "y".to_owned(),
        _ => format!("value{}", rng.u8(..)),
    };
    let flag = pick(rng, &["-", "-", "create", "replace"]);
    format!("setxattr {path} {name} {value} {flag}")
}

fn look(rng: &mut Source) -> String {
    let p = path(rng);
    match rng.u8(0..6) {
        0..=1 => format!("readdir {p}"),
        2 => format!("readlink {p}"),
        3 => format!("getxattr {p} {}", pick(rng, &ATTRIBUTES)),
        4 => format!("listxattr {p}"),
        _ => format!("stat {p}"),
    }
}

fn pick<'a>(rng: &mut Source, list: &[&'a str]) -> &'a str {
    list[rng.usize(..list.len())]
}

/// A path that probably exists, a name in a directory, or any.
fn path(rng: &mut Source) -> String {
    let count = rng.exists.len();
    if count > 0 && rng.u8(0..5) > 0 {
        let number = rng.usize(..count);
        if let Some((path, is_dir)) = rng.exists.iter().nth(number) {
            let (path, is_dir) = (path.clone(), *is_dir);
            if is_dir && rng.u8(0..3) > 0 {
                return format!("{path}/{}", pick(rng, &NAMES));
            }
            return path;
        }
    }
    let depth = [1, 1, 2, 2, 2, 3][rng.usize(..6)];
    let names: Vec<&str> = (0..depth).map(|_| pick(rng, &NAMES)).collect();
    names.join("/")
}

fn mode(rng: &mut Source) -> &'static str {
    pick(rng, &MODES)
}

/// Root, the ordinary user of the tests, somebody else.
fn user(rng: &mut Source) -> u32 {
    [0, rovl_testing::caller::ALICE, 7][rng.usize(..3)]
}

fn length(rng: &mut Source) -> u32 {
    match rng.u8(0..4) {
        0 => rng.u32(0..20),
        1 => 4096,
        2 => rng.u32(0..10_000),
        _ => rng.u32(0..200_000),
    }
}

fn node(rng: &mut Source, path: &str) -> String {
    let kind = pick(
        rng,
        &[
            "fifo 0:0",
            "socket 0:0",
            "char 1:3",
            "char 0:0",
            "block 7:200",
        ],
    );
    let (kind, dev) = kind.split_once(' ').unwrap_or((kind, "0:0"));
    format!("mknod {path} {kind} {} {dev}", mode(rng))
}

/// An ACL with a named user, as a value in hexadecimal digits.
fn acl(rng: &mut Source) -> String {
    let entries = [
        acl::owner(rng.u16(0..8)),
        acl::user(rovl_testing::caller::ALICE, rng.u16(0..8)),
        acl::group_owner(rng.u16(0..8)),
        acl::mask(rng.u16(0..8)),
        acl::other(rng.u16(0..8)),
    ];
    let digits: Vec<String> = acl::value(&entries)
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect();
    format!("0x{}", digits.concat())
}
