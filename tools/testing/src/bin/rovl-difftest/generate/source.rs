// SPDX-License-Identifier: GPL-2.0
//! Random numbers together with what probably exists and what the processes hold.

use std::collections::BTreeSet;

use fastrand::Rng;

use super::model::{child, parent, user, Kind, Object, Tree};
use super::{crowd, value};
use crate::actor::{HANDLES, SLOTS};
use crate::script::Process;

/// An open file of a process.
#[derive(Debug, Clone)]
pub struct Held {
    /// The path that it was opened by; `None` if it has no name.
    pub path: Option<String>,
    /// Whether it is a directory.
    pub dir: bool,
    /// Whether it can be read.
    pub read: bool,
    /// Whether it can be written.
    pub write: bool,
}

/// A mapping of a process.
#[derive(Debug, Clone, Copy)]
pub struct Mapping {
    /// Its length.
    pub length: u32,
    /// Whether it can be written.
    pub write: bool,
}

/// What one process holds.
#[derive(Debug, Clone, Default)]
pub struct Holdings {
    /// Open files.
    pub slots: [Option<Held>; SLOTS],
    /// Mappings.
    pub maps: [Option<Mapping>; SLOTS],
    /// Working directory, if it is in the mount.
    pub cwd: Option<String>,
    /// Whether it watches something.
    pub watching: bool,
}

/// Where random steps come from.
#[derive(Debug)]
pub struct Source {
    /// The numbers.
    pub rng: Rng,
    /// What probably exists.
    pub tree: Tree,
    holdings: [Holdings; Process::ALL.len()],
    /// The paths of which the processes have file handles.
    handles: [[Option<String>; HANDLES]; Process::ALL.len()],
    /// The process of the present step.
    pub process: Process,
    /// Whether the mount can be written.
    pub writable: bool,
    /// Whether the layers are on several file systems.
    pub mixed: bool,
    /// Whether directories of lower layers can be renamed.
    pub redirects: bool,
    /// Whether objects can be opened by handles.
    pub export: bool,
    /// Names that cannot be removed: those of lower layers, where the case of names is folded.
    pub kept: BTreeSet<String>,
    /// The directory that has many names.
    pub crowd: Option<&'static str>,
}

impl Source {
    /// One that knows of no objects.
    pub fn new(seed: u64) -> Self {
        Self {
            rng: Rng::with_seed(seed),
            tree: Tree::default(),
            holdings: Default::default(),
            handles: Default::default(),
            process: Process::Root,
            writable: true,
            mixed: false,
            redirects: false,
            export: false,
            kept: BTreeSet::new(),
            crowd: None,
        }
    }

    /// One chance in `number`.
    pub fn one_in(&mut self, number: u32) -> bool {
        self.rng.u32(..number) == 0
    }

    /// One of a list.
    pub fn pick<T: Copy>(&mut self, list: &[T]) -> T {
        value::pick(&mut self.rng, list)
    }

    /// Chooses the process of the next step.
    pub fn choose_process(&mut self) {
        self.process = match self.rng.u8(0..20) {
            0..=9 => Process::Root,
            10..=13 => Process::Alice,
            14..=15 => Process::Bob,
            16..=17 => Process::Setuid,
            _ => Process::Weak,
        };
    }

    fn process_number(&self) -> usize {
        let found = Process::ALL.iter().position(|other| *other == self.process);
        found.unwrap_or(0)
    }

    /// What the process of this step holds.
    pub fn held(&mut self) -> &mut Holdings {
        &mut self.holdings[self.process_number()]
    }

    /// The paths that it has handles of.
    pub fn handles(&mut self) -> &mut [Option<String>; HANDLES] {
        &mut self.handles[self.process_number()]
    }

    /// All processes let go of what they hold.
    pub fn reset(&mut self) {
        self.holdings = Default::default();
    }

    /// An object of `tree` that fits, as seen by the process of this step.
    fn find(&mut self, fits: impl Fn(&Tree, &str, &Object) -> bool) -> Option<String> {
        let process = self.process;
        let tree = &self.tree;
        let found: Vec<&String> = tree
            .objects
            .iter()
            .filter(|(path, object)| tree.reaches(process, path) && fits(tree, path, object))
            .map(|(path, _)| path)
            .collect();
        let number = self.rng.usize(..found.len().max(1));
        found.get(number).map(|path| (*path).clone())
    }

    /// Any path at all.
    fn random_path(&mut self) -> String {
        if let Some(dir) = self.crowd.filter(|_| self.rng.bool()) {
            return child(dir, &crowd::name(&mut self.rng));
        }
        let depth = self.pick(&[1, 1, 2, 2, 3]);
        let names: Vec<&str> = (0..depth).map(|_| value::name(&mut self.rng)).collect();
        names.join("/")
    }

    fn or_random(&mut self, found: Option<String>) -> String {
        match found {
            Some(path) if !self.one_in(14) => path,
            _ => self.random_path(),
        }
    }

    /// An object.
    pub fn any(&mut self) -> String {
        let found = self.find(|_, _, _| true);
        self.or_random(found)
    }

    /// An object with an extended attribute, and the name of one.
    pub fn attribute(&mut self) -> Option<(String, String)> {
        let path = self.find(|_, _, object| !object.attributes.is_empty())?;
        let names = self.tree.objects.get(&path)?.attributes.clone();
        let number = self.rng.usize(..names.len().max(1));
        Some((path, names.into_iter().nth(number)?))
    }

    /// An object that the process may change the attributes of.
    pub fn own(&mut self) -> String {
        let id = user(self.process);
        let root = self.process != Process::Weak && id == 0;
        let found = self.find(|_, _, object| (root || object.uid == id) && !object.fixed);
        self.or_random(found)
    }

    /// A directory.
    pub fn dir(&mut self) -> String {
        let found = self.find(|_, _, object| object.kind == Kind::Dir);
        match found {
            Some(path) if !self.one_in(6) => path,
            _ => "/".to_owned(),
        }
    }

    /// A directory that the process can change.
    pub fn changeable_dir(&mut self) -> String {
        let process = self.process;
        let found = self.find(|tree, path, _| tree.may_change(process, path));
        match found {
            Some(path) if !self.one_in(6) => path,
            _ => "/".to_owned(),
        }
    }

    /// A regular file that the process has a permission on.
    pub fn file(&mut self, bit: u32) -> String {
        let process = self.process;
        let found = self
            .find(|tree, path, object| object.kind == Kind::File && tree.may(process, path, bit));
        self.or_random(found)
    }

    /// A file that the process can probably execute, or any that it has the permission for.
    pub fn program(&mut self) -> String {
        let process = self.process;
        let found = self.find(|tree, path, object| object.program && tree.may(process, path, 1));
        match found {
            Some(path) if !self.one_in(4) => path,
            _ => self.file(1),
        }
    }

    /// An object that the process can remove.
    pub fn removable(&mut self, dirs: bool) -> String {
        let process = self.process;
        let kept = std::mem::take(&mut self.kept);
        let found = self.find(|tree, path, object| {
            (object.kind == Kind::Dir) == dirs
                && !object.fixed
                && !kept.contains(path)
                && (!dirs || tree.is_empty(path))
                && tree.may_change(process, parent(path))
        });
        self.kept = kept;
        match found {
            None if !self.kept.is_empty() => self.free(),
            Some(path) if !self.kept.is_empty() => path,
            found => self.or_random(found),
        }
    }

    /// An object that the process can rename.
    pub fn movable(&mut self) -> String {
        let process = self.process;
        let below = self.redirects || self.one_in(12);
        let found = self.find(|tree, path, object| {
            (below || !object.below || object.kind != Kind::Dir)
                && !object.fixed
                && tree.may_change(process, parent(path))
        });
        self.or_random(found)
    }

    /// A name that is free, in a directory that the process can change.
    pub fn free(&mut self) -> String {
        for _ in 0..6 {
            let dir = self.changeable_dir();
            // Deep trees take long to compare.
            if dir.matches('/').count() > 3 {
                continue;
            }
            let path = match self.crowd {
                Some(crowded) if crowded == dir || self.rng.u8(0..3) == 0 => {
                    child(crowded, &crowd::name(&mut self.rng))
                }
                _ => child(&dir, value::name(&mut self.rng)),
            };
            if !self.tree.objects.contains_key(&path) || self.one_in(20) {
                return path;
            }
        }
        let path = self.random_path();
        if self.one_in(4) {
            return path;
        }
        let dir = self.changeable_dir();
        child(&dir, self.pick(&["g", "h", "i", "j", "k", "l"]))
    }

    /// Number of a slot that is empty, or any.
    pub fn empty_slot(&mut self) -> usize {
        let number = self.rng.usize(..SLOTS);
        let held = self.held();
        held.slots
            .iter()
            .position(Option::is_none)
            .unwrap_or(number)
    }

    /// Number of a slot whose file fits.
    pub fn slot(&mut self, fits: impl Fn(&Held) -> bool) -> Option<usize> {
        let slots = self.held().slots.clone();
        let found: Vec<usize> = (0..SLOTS)
            .filter(|number| slots[*number].as_ref().is_some_and(&fits))
            .collect();
        let number = self.rng.usize(..found.len().max(1));
        found.get(number).copied()
    }

    /// The text for a path: often relative to what the process holds.
    pub fn text(&mut self, path: &str) -> String {
        if path == "/" || self.rng.bool() {
            return path.to_owned();
        }
        let held = self.held().clone();
        let rest = |dir: &str| path.strip_prefix(dir)?.strip_prefix('/').map(str::to_owned);
        if let Some(rest) = held.cwd.as_deref().and_then(rest) {
            return format!("./{rest}");
        }
        for (number, slot) in held.slots.iter().enumerate() {
            let dir = slot.as_ref().filter(|slot| slot.dir);
            if let Some(rest) = dir.and_then(|slot| slot.path.as_deref()).and_then(rest) {
                return format!("@{number}/{rest}");
            }
        }
        path.to_owned()
    }

    /// The text for an object: now and then a descriptor that was opened by its path.
    pub fn object_text(&mut self, path: &str) -> String {
        let same = self.slot(|held| held.path.as_deref() == Some(path));
        match same {
            Some(number) if self.one_in(3) => format!("@{number}"),
            _ => self.text(path),
        }
    }

    /// Notes a new object of the process.
    pub fn made(&mut self, path: &str, kind: Kind, mode: &str) {
        let process = self.process;
        if self.writable && self.tree.may_change(process, parent(path)) {
            let mode = u32::from_str_radix(mode, 8).unwrap_or(0) & !0o022;
            self.tree.add(path, Object::new(kind, mode, user(process)));
        }
    }

    /// Notes that what was made is a program.
    pub fn is_program(&mut self, path: &str) {
        if let Some(object) = self.tree.objects.get_mut(path) {
            object.program = true;
        }
    }

    /// Notes that an object is gone.
    pub fn removed(&mut self, path: &str) {
        let process = self.process;
        if self.writable && self.tree.may_change(process, parent(path)) {
            self.tree.remove(path);
        }
    }
}
