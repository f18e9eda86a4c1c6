// SPDX-License-Identifier: GPL-2.0
//! Random layers, and random steps for what there is in the plain tree.

use std::path::Path;

use fastrand::Rng;
use rustix::fs::FileType;

use super::held::Holdings;
use super::sequence::{number, Sequence, MAPPED};
use super::tree::Nodes;
use crate::actor::SLOTS;
use crate::script::{Place, Process, Script, Step};

const NAMES: [&str; 6] = ["a", "b", "c", "d", "e", "f"];
const DIR_MODES: [&str; 6] = ["777", "777", "777", "755", "711", "700"];
const FILE_MODES: [&str; 6] = ["666", "666", "644", "777", "600", "4755"];
const ATTRIBUTES: [&str; 3] = ["user.a", "user.b", "user.c"];

/// Steps with which a layer is filled.
const FILLING: usize = 24;

/// Where random steps come from.
pub struct Source {
    rng: Rng,
    nodes: Nodes,
    process: Process,
    checkpoints: usize,
    lowers: usize,
    /// One change of the layers in so many steps.
    every: u32,
}

/// The layers of the sequence `seed`, with the steps that fill and mount them.
pub fn layers(seed: u64) -> Script {
    let mut rng = Rng::with_seed(seed);
    let upper = pick(&mut rng, &["ext4", "ext4", "xfs", "tmpfs"]);
    let count = rng.usize(2..6);
    let lowers = (0..count).map(|_| match rng.u8(0..3) {
        0 => pick(&mut rng, &["ext4", "xfs", "tmpfs"]).to_owned(),
        _ => upper.to_owned(),
    });
    let lowers = lowers.collect();
    let mut script = Script::new(upper, lowers);
    script.live = true;
    for lower in 0..count {
        let place = Place::Lower(lower);
        script.steps.push(Step::new(place, "chmod / 777"));
        for _ in 0..FILLING {
            let text = filling(&mut rng);
            script.steps.push(Step::new(place, &text));
        }
    }
    let mount = format!("mount {}", rng.usize(1..count));
    script.steps.push(Step::new(Place::Machine, &mount));
    script
}

fn pick<T: Copy>(rng: &mut Rng, list: &[T]) -> T {
    list[rng.usize(..list.len())]
}

fn path(rng: &mut Rng, depth: usize) -> String {
    let names: Vec<&str> = (0..depth).map(|_| pick(rng, &NAMES)).collect();
    names.join("/")
}

/// A step in a layer. Many fail, because there is no such directory, or the name is taken.
fn filling(rng: &mut Rng) -> String {
    let depth = pick(rng, &[1, 2, 2, 3]);
    let path = path(rng, depth);
    match rng.u8(0..20) {
        0..=6 => format!("mkdir {} {}", path, pick(rng, &DIR_MODES)),
        7..=12 => format!("put {path} {} {}", length(rng), rng.u8(..)),
        13 => format!("symlink b/c {path}"),
        14 => format!("setxattr {path} trusted.overlay.opaque y -"),
        15..=16 => format!("mknod {path} char 0 0:0"),
        17 => format!("setxattr {path} {} low -", pick(rng, &ATTRIBUTES)),
        18 => format!("chmod {path} {}", pick(rng, &DIR_MODES)),
        _ => format!("utimes {path} 5 {}", rng.u32(1..1_000_000)),
    }
}

fn length(rng: &mut Rng) -> u32 {
    match rng.u8(0..4) {
        0 => rng.u32(0..20),
        1 => 4096,
        _ => rng.u32(0..20_000),
    }
}

impl Source {
    /// The steps of the sequence `seed` after those of [`layers`].
    pub fn new(seed: u64, lowers: usize, every: u32) -> Self {
        Self {
            rng: Rng::with_seed(seed ^ 0x5eed),
            nodes: Nodes::new(),
            process: Process::Root,
            checkpoints: 0,
            lowers,
            every: every.max(1),
        }
    }

    fn pick<T: Copy>(&mut self, list: &[T]) -> T {
        pick(&mut self.rng, list)
    }

    /// The next step.
    pub fn next(&mut self, sequence: &Sequence) -> Step {
        if self.rng.u8(0..4) == 0 || self.nodes.is_empty() {
            self.nodes = sequence.nodes();
        }
        if self.rng.u32(..self.every) == 0 {
            self.nodes.clear();
            return Step::new(Place::Machine, &self.change(sequence));
        }
        if self.rng.u8(0..40) == 0 {
            let dir = self.dir();
            let text = match self.rng.u8(0..6) {
                0..=1 if !dir.is_empty() => format!("attach {dir}"),
                2 => "detach".to_owned(),
                3 => "drop-caches".to_owned(),
                _ => "check".to_owned(),
            };
            return Step::new(Place::Machine, &text);
        }
        self.process = self.pick(&[
            Process::Root,
            Process::Root,
            Process::Root,
            Process::Alice,
            Process::Bob,
            Process::Setuid,
            Process::Weak,
        ]);
        let text = self.operation(&sequence.holdings[number(self.process)]);
        Step::new(Place::Mount(self.process), &text)
    }

    fn change(&mut self, sequence: &Sequence) -> String {
        let names = sequence.site.checkpoints();
        let chosen = self.rng.usize(..names.len().max(1));
        match (self.rng.u8(0..20), names.get(chosen)) {
            (0..=3, Some(name)) => format!("rollback {name}"),
            (4, Some(name)) => format!("branch {name}"),
            (5..=8, _) => format!("push {}", self.rng.usize(..self.lowers)),
            (9..=12, _) => format!("drop {}", self.rng.usize(..30)),
            _ => {
                self.checkpoints += 1;
                format!("checkpoint c{}", self.checkpoints)
            }
        }
    }

    fn find(&mut self, fits: impl Fn(FileType) -> bool) -> Option<String> {
        let nodes = self.nodes.iter();
        let found: Vec<&Path> = nodes
            .filter(|(path, node)| !path.as_os_str().is_empty() && fits(node.kind))
            .map(|(path, _)| path.as_path())
            .collect();
        let chosen = self.rng.usize(..found.len().max(1));
        found.get(chosen).map(|path| path.display().to_string())
    }

    fn or_any(&mut self, found: Option<String>) -> String {
        match found {
            Some(found) if self.rng.u8(0..16) > 0 => found,
            _ => {
                let depth = self.pick(&[1, 2, 2, 3]);
                path(&mut self.rng, depth)
            }
        }
    }

    fn file(&mut self) -> String {
        let found = self.find(|kind| kind == FileType::RegularFile);
        self.or_any(found)
    }

    fn other(&mut self) -> String {
        let found = self.find(|kind| kind != FileType::Directory);
        self.or_any(found)
    }

    /// A directory; empty for the root.
    fn dir(&mut self) -> String {
        let found = self.find(|kind| kind == FileType::Directory);
        found.filter(|_| self.rng.u8(0..5) > 0).unwrap_or_default()
    }

    fn any(&mut self) -> String {
        let found = self.find(|_| true);
        self.or_any(found)
    }

    /// A name that may be free.
    fn free(&mut self) -> String {
        for _ in 0..8 {
            let (dir, name) = (self.dir(), self.pick(&NAMES));
            let path = Path::new(&dir).join(name);
            if dir.matches('/').count() < 3 && !self.nodes.contains_key(&path) {
                return path.display().to_string();
            }
        }
        path(&mut self.rng, 2)
    }

    /// The text for a path: often relative to a directory that the process holds.
    fn text(&mut self, path: String, held: &Holdings) -> String {
        if self.rng.bool() {
            return path;
        }
        let mut bases: Vec<(String, u64)> = Vec::new();
        bases.extend(held.cwd.map(|open| (".".to_owned(), open.ino)));
        let slots = held.slots.iter().enumerate();
        let slots = slots.filter_map(|(slot, open)| open.map(|open| (slot, open)));
        let dirs = slots.filter(|(_, open)| open.dir);
        bases.extend(dirs.map(|(slot, open)| (format!("@{slot}"), open.ino)));
        if bases.is_empty() {
            return path;
        }
        let (base, ino) = bases.swap_remove(self.rng.usize(..bases.len()));
        let above = self.nodes.iter().find(|(_, node)| node.ino == ino);
        let rest = above.and_then(|(above, _)| Path::new(&path).strip_prefix(above).ok());
        match rest.filter(|rest| !rest.as_os_str().is_empty()) {
            Some(rest) => format!("{base}/{}", rest.display()),
            None if self.rng.u8(0..4) == 0 => format!("{base}/{}", self.pick(&NAMES)),
            None => path,
        }
    }

    fn slot(&mut self, held: &Holdings, fits: impl Fn(bool, bool) -> bool) -> String {
        let slots = held.slots.iter().enumerate();
        let slots = slots.filter(|(_, open)| open.is_some_and(|open| fits(open.dir, open.write)));
        let slots: Vec<usize> = slots.map(|(slot, _)| slot).collect();
        match slots.as_slice() {
            [] => format!("@{}", self.rng.usize(..SLOTS)),
            slots => format!("@{}", self.pick(slots)),
        }
    }

    fn operation(&mut self, held: &Holdings) -> String {
        match self.rng.u8(0..100) {
            0..=29 => self.names(held),
            30..=52 => self.contents(held),
            53..=76 => self.open_files(held),
            77..=88 => self.attributes(held),
            _ => self.directories(held),
        }
    }

    fn names(&mut self, held: &Holdings) -> String {
        match self.rng.u8(0..30) {
            0..=6 => {
                let path = self.free();
                format!("mkdir {} {}", self.text(path, held), self.pick(&DIR_MODES))
            }
            7..=8 => {
                let path = self.free();
                format!("symlink b/c {}", self.text(path, held))
            }
            9..=10 => {
                let (from, to) = (self.other(), self.free());
                format!("link {} {}", self.text(from, held), self.text(to, held))
            }
            11..=15 => {
                let path = self.other();
                format!("unlink {}", self.text(path, held))
            }
            16..=19 => {
                let path = self.dir();
                let path = self.or_any(Some(path).filter(|path| !path.is_empty()));
                format!("rmdir {}", self.text(path, held))
            }
            _ => {
                let from = self.any();
                let to = if self.rng.u8(0..3) == 0 {
                    self.any()
                } else {
                    self.free()
                };
                let flag = self.pick(&["-", "-", "-", "noreplace", "exchange"]);
                format!(
                    "rename {} {} {flag}",
                    self.text(from, held),
                    self.text(to, held)
                )
            }
        }
    }

    fn contents(&mut self, held: &Holdings) -> String {
        let path = match self.rng.bool() {
            true => self.free(),
            false => self.file(),
        };
        let slot = format!("@{}", self.rng.usize(..SLOTS));
        match self.rng.u8(0..23) {
            0..=6 => {
                let (length, seed) = (length(&mut self.rng), self.rng.u8(..));
                format!("put {} {length} {seed}", self.text(path, held))
            }
            7..=8 => {
                let path = self.file();
                format!(
                    "truncate {} {}",
                    self.text(path, held),
                    length(&mut self.rng)
                )
            }
            9..=11 => {
                let path = self.file();
                format!("read {}", self.text(path, held))
            }
            12..=14 => {
                let text = self.text(path, held);
                format!("open {slot} {text} rw,creat {}", self.pick(&FILE_MODES))
            }
            15 => {
                let from = self.slot(held, |_, _| true);
                format!("open {slot} {from} {} 0", self.pick(&["r", "rw"]))
            }
            _ => {
                let path = self.file();
                let flags = self.pick(&["r", "r", "rw", "rw", "rw,append"]);
                format!("open {slot} {} {flags} 0", self.text(path, held))
            }
        }
    }

    fn open_files(&mut self, held: &Holdings) -> String {
        let (length, seed) = (length(&mut self.rng), self.rng.u8(..));
        let writing = self.slot(held, |dir, write| !dir && write);
        let file = self.slot(held, |dir, _| !dir);
        let maps = held
            .maps
            .iter()
            .enumerate()
            .filter(|(_, map)| map.is_some());
        let maps: Vec<usize> = maps.map(|(index, _)| index).collect();
        let map = match maps.as_slice() {
            [] => 0,
            maps => self.pick(maps),
        };
        let map = format!("@{map}");
        match self.rng.u8(0..32) {
            0..=3 if !maps.is_empty() || self.rng.bool() => {
                format!("fwrite {writing} {length} {seed}")
            }
            4..=7 => format!("pwrite {writing} {} {length} {seed}", self.rng.u32(0..9000)),
            8 => format!("truncate {writing} {length}"),
            9..=12 => format!("pread {file} {} 9000", self.rng.u32(0..5000)),
            13 => format!("fread {file} 3000"),
            _ if maps.is_empty() && self.rng.u8(0..6) > 0 => self.map(held),
            14..=19 => self.map(held),
            20..=24 => format!("mread {map} 0 {MAPPED}"),
            25..=27 => format!(
                "mwrite {map} {} {} {seed}",
                self.rng.u32(0..9000),
                length.max(1)
            ),
            28 => format!("munmap {map}"),
            29 => format!("msync {map}"),
            30 => format!("dup {file} @{}", self.rng.usize(..SLOTS)),
            _ => format!("close {file}"),
        }
    }

    fn map(&mut self, held: &Holdings) -> String {
        let writing = self.slot(held, |dir, write| !dir && write);
        let file = self.slot(held, |dir, _| !dir);
        let map = self.rng.usize(..SLOTS);
        if self.rng.u8(0..3) == 0 {
            return format!("mmap @{map} {writing} rw-shared {MAPPED}");
        }
        let kind = self.pick(&["r-shared", "r-shared", "r-private", "rw-private"]);
        format!("mmap @{map} {file} {kind} {MAPPED}")
    }

    fn attributes(&mut self, held: &Holdings) -> String {
        let path = self.any();
        let text = match self.rng.u8(0..4) {
            0 => self.slot(held, |_, _| true),
            _ => self.text(path, held),
        };
        match self.rng.u8(0..12) {
            0..=2 => format!("chmod {text} {}", self.pick(&FILE_MODES)),
            3..=5 => {
                let name = self.pick(&ATTRIBUTES);
                format!("setxattr {text} {name} v{} -", self.rng.u8(..))
            }
            6..=7 => format!("utimes {text} 7 {}", self.rng.u32(1..1_000_000)),
            8 => format!("getxattr {text} {}", self.pick(&ATTRIBUTES)),
            _ => {
                let path = self.any();
                format!("stat {}", self.text(path, held))
            }
        }
    }

    fn directories(&mut self, held: &Holdings) -> String {
        let found = self.dir();
        let path = if found.is_empty() {
            "/".to_owned()
        } else {
            self.text(found, held)
        };
        let dir = self.slot(held, |dir, _| dir);
        match self.rng.u8(0..12) {
            0..=2 => format!("open @{} {path} r,dir 0", self.rng.usize(..SLOTS)),
            3..=5 => format!("readdir {path} 4096"),
            6..=7 => format!("getdents {dir} 4096"),
            8 => format!("rewind {dir}"),
            9..=10 => format!("chdir {path}"),
            _ => "getcwd".to_owned(),
        }
    }
}
