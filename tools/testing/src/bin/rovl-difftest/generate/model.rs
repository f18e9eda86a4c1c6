// SPDX-License-Identifier: GPL-2.0
//! What probably exists: without it most steps of a random script would fail. It knows owners and
//! permission bits, whiteouts and opaque directories, and nothing of ACLs and errors.

use std::collections::{BTreeMap, BTreeSet};

use rovl_testing::caller::{ALICE, BOB};

use crate::script::Process;

/// Types of objects, as far as operations ask for them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A directory.
    Dir,
    /// A regular file.
    File,
    /// A symbolic link.
    Link,
    /// A device, FIFO or socket.
    Node,
}

/// An object.
#[derive(Debug, Clone)]
pub struct Object {
    /// Its type.
    pub kind: Kind,
    /// Permission bits.
    pub mode: u32,
    /// Owner.
    pub uid: u32,
    /// Whether it is a directory that has a part in a lower layer.
    pub below: bool,
    /// Length of a file of a lower layer.
    pub size: u32,
    /// Whether it can be executed.
    pub program: bool,
    /// Whether it may not be changed (chattr).
    pub fixed: bool,
    /// Extended attributes.
    pub attributes: BTreeSet<String>,
}

impl Object {
    /// One without attributes, in no lower layer.
    pub fn new(kind: Kind, mode: u32, uid: u32) -> Self {
        Self {
            kind,
            mode,
            uid,
            below: false,
            size: 0,
            program: false,
            fixed: false,
            attributes: BTreeSet::new(),
        }
    }
}

/// The user that a process acts as.
pub fn user(process: Process) -> u32 {
    match process {
        Process::Alice => ALICE,
        Process::Bob => BOB,
        Process::Root | Process::Setuid | Process::Weak => 0,
    }
}

/// Whether permission bits mean nothing to a process.
pub fn is_mighty(process: Process) -> bool {
    matches!(process, Process::Root | Process::Setuid)
}

/// The objects of a tree by their paths, without its root.
#[derive(Debug, Clone, Default)]
pub struct Tree {
    /// The objects.
    pub objects: BTreeMap<String, Object>,
    /// Names that are hidden in the layers below.
    pub whiteouts: BTreeSet<String>,
    /// Directories below which nothing of the layers below shows.
    pub opaque: BTreeSet<String>,
    /// Directories whose content below comes from another path, and that path.
    pub redirects: BTreeMap<String, String>,
}

/// The directory of a path, `/` for the root.
pub fn parent(path: &str) -> &str {
    path.rsplit_once('/').map_or("/", |(parent, _)| parent)
}

/// The path of a name in a directory.
pub fn child(dir: &str, name: &str) -> String {
    if dir == "/" {
        name.to_owned()
    } else {
        format!("{dir}/{name}")
    }
}

impl Tree {
    /// Whether there is a directory.
    pub fn is_dir(&self, path: &str) -> bool {
        path == "/"
            || self
                .objects
                .get(path)
                .is_some_and(|object| object.kind == Kind::Dir)
    }

    /// Whether there is nothing in a directory.
    pub fn is_empty(&self, path: &str) -> bool {
        let below = format!("{path}/");
        !self.objects.keys().any(|other| other.starts_with(&below))
    }

    /// Whether `process` has the permission `bit` (4, 2, 1) on an object.
    pub fn may(&self, process: Process, path: &str, bit: u32) -> bool {
        let Some(object) = self.objects.get(path) else {
            // Root directories of layers have mode 755 and belong to root.
            return path == "/" && (user(process) == 0 || bit != 2);
        };
        if object.fixed && bit == 2 {
            return false;
        }
        let shift = if object.uid == user(process) { 6 } else { 0 };
        is_mighty(process) || (object.mode >> shift) & bit != 0
    }

    /// Whether `process` gets to an object.
    pub fn reaches(&self, process: Process, path: &str) -> bool {
        is_mighty(process)
            || path
                .match_indices('/')
                .all(|(at, _)| self.may(process, &path[..at], 1))
    }

    /// Whether `process` may make and remove names in a directory.
    pub fn may_change(&self, process: Process, dir: &str) -> bool {
        self.is_dir(dir)
            && self.reaches(process, dir)
            && self.may(process, dir, 2)
            && self.may(process, dir, 1)
    }

    /// Adds an object if its name is free.
    pub fn add(&mut self, path: &str, object: Object) {
        if self.is_dir(parent(path)) && !self.objects.contains_key(path) {
            self.whiteouts.remove(path);
            self.objects.insert(path.to_owned(), object);
        }
    }

    /// Removes an object with all that is below it.
    pub fn remove(&mut self, path: &str) {
        let below = format!("{path}/");
        self.objects
            .retain(|other, _| other != path && !other.starts_with(&below));
    }

    /// Takes out an object with all that is below it.
    fn take(&mut self, path: &str) -> Vec<(String, Object)> {
        let below = format!("{path}/");
        let taken: Vec<(String, Object)> = self
            .objects
            .iter()
            .filter(|(other, _)| *other == path || other.starts_with(&below))
            .map(|(other, object)| (other[path.len()..].to_owned(), object.clone()))
            .collect();
        self.remove(path);
        taken
    }

    /// Shows what is at some paths at others.
    fn redirect(&mut self, redirects: &BTreeMap<String, String>) {
        let copies = redirects.iter().map(|(to, from)| {
            let objects = self.clone().take(from);
            (to, objects)
        });
        for (to, objects) in copies.collect::<Vec<_>>() {
            self.remove(to);
            self.put(to, objects);
        }
    }

    fn put(&mut self, path: &str, objects: Vec<(String, Object)>) {
        for (rest, object) in objects {
            self.objects.insert(format!("{path}{rest}"), object);
        }
    }

    /// Moves an object, or exchanges two.
    pub fn rename(&mut self, from: &str, to: &str, exchange: bool) {
        let inside = |outer: &str, inner: &str| inner.starts_with(&format!("{outer}/"));
        if from == to || inside(from, to) || inside(to, from) || !self.is_dir(parent(to)) {
            return;
        }
        let moved = self.take(from);
        let replaced = self.take(to);
        self.put(to, moved);
        if exchange {
            self.put(from, replaced);
        }
    }

    /// What shows of layers, from the lowest one.
    pub fn merged(layers: impl IntoIterator<Item = Self>) -> Self {
        let mut merged = Self::default();
        for layer in layers {
            merged.redirect(&layer.redirects);
            let mut hidden: Vec<String> = layer.whiteouts.iter().cloned().collect();
            let covered = layer
                .objects
                .iter()
                .filter(|(path, object)| object.kind != Kind::Dir || layer.opaque.contains(*path));
            hidden.extend(covered.map(|(path, _)| path.clone()));
            let files_below = layer
                .objects
                .iter()
                .filter(|(path, object)| object.kind == Kind::Dir && !merged.is_dir(path));
            hidden.extend(files_below.map(|(path, _)| path.clone()));
            for path in hidden {
                merged.remove(&path);
            }
            for (path, object) in &layer.objects {
                merged.objects.insert(path.clone(), object.clone());
            }
        }
        for object in merged.objects.values_mut() {
            object.below = true;
        }
        merged
    }
}
