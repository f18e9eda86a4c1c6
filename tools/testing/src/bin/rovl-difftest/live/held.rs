// SPDX-License-Identifier: GPL-2.0
//! What the processes hold, and what Documentation/live.rst says of it when the layers have changed.

use std::collections::BTreeSet;

use rustix::io::Errno;

use crate::actor::{slot_number, SLOTS};

/// An object that a process has open, or works in. Objects are known by their numbers in the plain tree.
#[derive(Debug, Clone, Copy)]
pub struct Open {
    /// The number.
    pub ino: u64,
    /// Whether it was opened for writing.
    pub write: bool,
    /// Whether it is a directory.
    pub dir: bool,
}

/// A mapping.
#[derive(Debug, Clone)]
pub struct Mapping {
    /// The number of the file in the plain tree.
    pub ino: u64,
    /// Whether it is shared and can be written, or be made so.
    pub writable: bool,
    /// Whether it can be written and is private.
    pub private: bool,
    /// What it shows for good: that of a file which is, or became, one of a lower layer.
    pub frozen: Option<Frozen>,
}

/// What a mapping of a file of a lower layer shows.
#[derive(Debug, Clone)]
pub enum Frozen {
    /// What the plain one showed at that time.
    Shows(String),
    /// It was written to since, so it is not known here.
    Written,
}

/// What one process holds.
#[derive(Debug, Default)]
pub struct Holdings {
    /// Open files.
    pub slots: [Option<Open>; SLOTS],
    /// Mappings.
    pub maps: [Option<Mapping>; SLOTS],
    /// The working directory, once it is in the mount.
    pub cwd: Option<Open>,
}

/// Objects that are not what they were.
#[derive(Debug, Default)]
pub struct Changed {
    /// Gone with a layer, or with what hides them.
    pub gone: BTreeSet<u64>,
    /// Gone because a layer that was pushed hides them. When it goes they may be there again, or not.
    pub hidden: BTreeSet<u64>,
    /// Have, or had, several names since the last change. A descriptor of one that was removed may break the link.
    pub linked: BTreeSet<u64>,
    /// Had no name when the layers changed: gone, if something of them went. The first answer tells.
    pub unnamed: BTreeSet<u64>,
    /// Were in the upper layer without a name at a checkpoint: in no layer, and changed where they were made.
    pub in_no_layer: BTreeSet<u64>,
}

/// How a step gets to an object that a process holds.
#[derive(Debug, Clone, Copy)]
pub struct Base {
    /// What is held.
    pub open: Open,
    /// Whether something is looked up in it.
    pub lookup: bool,
}

impl Holdings {
    /// All that the step `words` starts from. `None` where it is a working directory outside of the mount.
    pub fn bases(&self, words: &[&str]) -> Option<Vec<Base>> {
        let mut bases = Vec::new();
        if words == ["getcwd"] {
            let open = self.cwd?;
            return Some(vec![Base {
                open,
                lookup: false,
            }]);
        }
        for &word in places(words) {
            if word.starts_with('.') {
                let open = self.cwd?;
                bases.push(Base { open, lookup: true });
            } else if word.starts_with('@') {
                let (slot, lookup) = match word.split_once('/') {
                    Some((slot, _)) => (slot, true),
                    None => (word, false),
                };
                let held = slot_number(slot).and_then(|number| self.slots[number]);
                bases.extend(held.map(|open| Base { open, lookup }));
            }
        }
        Some(bases)
    }
}

/// The words that name objects.
fn places<'a, 'b>(words: &'b [&'a str]) -> &'b [&'a str] {
    match words {
        ["close" | "dup" | "munmap" | "mread" | "mwrite" | "msync", ..] => &[],
        ["open" | "mmap" | "symlink", ..] => words.get(2..3).unwrap_or_default(),
        _ => words.get(1..).unwrap_or_default(),
    }
}

/// What an operation has to give on something that is gone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// What the plain tree gives: it only reads what is open.
    Same,
    /// It is left out: nobody says what comes of it.
    Unsaid,
    /// ESTALE.
    Stale,
    /// ESTALE, or another error that comes before.
    Fails,
}

/// What `words` have to give where one of `bases` is gone. `mighty` is who has all permissions.
pub fn verdict(words: &[&str], bases: &[Base], mighty: bool) -> Verdict {
    let one = |certain: bool| match certain && mighty && bases.len() == 1 {
        true => Verdict::Stale,
        false => Verdict::Fails,
    };
    let Some(base) = bases.first() else {
        return Verdict::Same;
    };
    if base.lookup || bases.len() > 1 {
        return one(base.open.dir && !["rename", "link"].contains(&words[0]));
    }
    match *words {
        // Nothing is written.
        ["fwrite", _, "0", ..] | ["pwrite", _, _, "0", ..] => Verdict::Unsaid,
        ["fread" | "pread" | "getdents" | "rewind" | "getxattr", ..] => Verdict::Same,
        // Nothing can be looked up there.
        ["mmap", _, _, "r-shared" | "rw-shared", ..] if base.open.write => Verdict::Fails,
        ["mmap", ..] => Verdict::Same,
        ["open", _, _, "r", ..] if !base.open.dir => Verdict::Same,
        ["open", _, _, "rw", ..] if !base.open.dir => one(true),
        ["fwrite" | "pwrite" | "truncate", ..] => one(base.open.write),
        ["chmod" | "setxattr" | "utimes", ..] => one(true),
        _ => Verdict::Unsaid,
    }
}

/// Whether a text is that of ESTALE.
pub fn is_stale(text: &str) -> bool {
    text == Errno::STALE.to_string()
}

/// Whether a text is that of success.
pub fn succeeded(text: &str) -> bool {
    text == "ok" || text.starts_with("ok ")
}
