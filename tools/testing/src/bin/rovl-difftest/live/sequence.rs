// SPDX-License-Identifier: GPL-2.0
//! One sequence: each step is done in the plain tree and in the mount, and what comes of it is compared.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use rustix::fs::FileType;
use rustix::io::Errno;

use super::held::{
    self, is_stale, succeeded, Base, Changed, Frozen, Holdings, Mapping, Open, Verdict,
};
use super::site::Site;
use super::tree::{self, Nodes};
use crate::actor::{slot_number, Actor};
use crate::operation;
use crate::run::{Difference, Failed, Settings};
use crate::script::{Place, Process, Script, Step};

/// Length of all mappings, and of what is read of them.
pub const MAPPED: &str = "20480";

/// What two sides gave that should be the same.
pub type Found = Result<Option<Difference>, Failed>;

/// A sequence that is being done.
pub struct Sequence {
    /// Where it is done.
    pub site: Site,
    /// The steps that were done.
    pub done: Vec<Step>,
    /// What the processes hold.
    pub holdings: [Holdings; Process::ALL.len()],
    /// Whether something is mounted below the root.
    pub attached: bool,
    /// What is not what it was.
    pub changed: Changed,
    /// The copies of the plain tree that were made at the checkpoints.
    pub copies: BTreeMap<String, PathBuf>,
    /// For each kind of step: how many were done, and how many succeeded.
    pub counts: BTreeMap<String, (usize, usize)>,
}

/// The number of a process.
pub fn number(process: Process) -> usize {
    let found = Process::ALL.iter().position(|other| *other == process);
    found.unwrap_or(0)
}

impl Sequence {
    /// One with the layers of `script`, of which no step is done.
    pub fn new(settings: &Settings, script: &Script) -> Result<Self, Failed> {
        Ok(Self {
            site: Site::new(settings, script)?,
            done: Vec::new(),
            holdings: Default::default(),
            attached: false,
            changed: Changed::default(),
            copies: BTreeMap::new(),
            counts: BTreeMap::new(),
        })
    }

    /// What is in the plain tree.
    pub fn nodes(&self) -> Nodes {
        tree::nodes(&self.site.plain)
    }

    /// Does a step.
    pub fn step(&mut self, step: &Step) -> Found {
        self.done.push(step.clone());
        let words: Vec<&str> = step.words.iter().map(String::as_str).collect();
        match step.place {
            Place::Machine => self.machine(&words),
            Place::Mount(process) if self.site.mounted.is_some() => self.act(process, &words),
            Place::Lower(number) if self.site.mounted.is_none() => {
                let layer = self.site.lowers.get(number);
                let layer = layer.ok_or_else(|| Failed(format!("no such layer: {step}")))?;
                operation::run(&mut Actor::new(layer), &words, false);
                Ok(None)
            }
            _ => Ok(None),
        }
    }

    /// A difference in the last step.
    pub fn differ(&self, what: &str, seen: [String; 2]) -> Difference {
        let step = self.done.last().map(Step::to_string).unwrap_or_default();
        Difference {
            steps: self.done.len(),
            what: format!("{step}: {what}"),
            kinds: ["plain".to_owned(), "mount".to_owned()],
            seen,
        }
    }

    /// Notes that a step of a kind was done.
    pub fn count(&mut self, kind: &str, success: bool) {
        let entry = self.counts.entry(kind.to_owned()).or_default();
        entry.0 += 1;
        entry.1 += usize::from(success);
    }

    fn act(&mut self, process: Process, words: &[&str]) -> Found {
        // What has one name only in sight keeps it, see `break_links`.
        if self.attached && words[0] == "link" {
            return Ok(None);
        }
        let Some(bases) = self.holdings[number(process)].bases(words) else {
            return Ok(None);
        };
        let is_in = |set: &BTreeSet<u64>| bases.iter().any(|base| set.contains(&base.open.ino));
        if is_in(&self.changed.gone) {
            let mighty = matches!(process, Process::Root);
            let mut verdict = held::verdict(words, &bases, mighty);
            // Nothing is found in a directory that was removed before, whatever else is true of it.
            if verdict == Verdict::Stale && bases[0].lookup && is_in(&self.changed.unnamed) {
                verdict = Verdict::Fails;
            }
            if verdict != Verdict::Same {
                return self.gone(process, words, verdict);
            }
        }
        if let ["mmap", _, slot, ..] = *words {
            // With a descriptor that has not been used since the file was copied up, what it was opened on is mapped.
            self.on_both(process, &["pread", slot, "0", "1"])?;
        }
        let unnamed = is_in(&self.changed.unnamed);
        let ours = self.site.run(1, process, words)?;
        if unnamed && is_stale(&ours) {
            let inos = bases.iter().map(|base| base.open.ino);
            let unnamed = &self.changed.unnamed;
            let inos: Vec<u64> = inos.filter(|ino| unnamed.contains(ino)).collect();
            self.changed.gone.extend(inos);
            return Ok(None);
        }
        let plain = self.site.run(0, process, words)?;
        if ours == Errno::EXIST.to_string() && self.is_removed_dir(&bases) {
            // What both types say to a change of a directory that was in a lower layer, and was removed.
            let inos = bases.iter().map(|base| base.open.ino).collect();
            self.let_go(&inos)?;
            return Ok(None);
        }
        self.compare(process, words, [plain, ours])
    }

    /// Whether a step is about one directory that has no name any more.
    fn is_removed_dir(&self, bases: &[Base]) -> bool {
        let [Base {
            open,
            lookup: false,
        }] = bases
        else {
            return false;
        };
        open.dir && self.nodes().values().all(|node| node.ino != open.ino)
    }

    /// A step on something that is gone, which the plain tree does not do.
    fn gone(&mut self, process: Process, words: &[&str], verdict: Verdict) -> Found {
        if verdict == Verdict::Unsaid {
            return Ok(None);
        }
        let ours = self.site.run(1, process, words)?;
        self.count(words[0], false);
        let right = match verdict {
            Verdict::Stale => is_stale(&ours),
            _ => !succeeded(&ours),
        };
        let expected = || "ESTALE, as that is gone".to_owned();
        Ok((!right).then(|| self.differ("", [expected(), ours])))
    }

    fn compare(&mut self, process: Process, words: &[&str], seen: [String; 2]) -> Found {
        let seen = [
            self.normal(words, &self.site.plain, &seen[0]),
            self.normal(words, &self.site.merged, &seen[1]),
        ];
        self.count(words[0], succeeded(&seen[0]));
        let same = match *words {
            ["mread", map, "0", MAPPED] => self.same_mapped(process, map, &seen),
            ["mwrite", map, ..] if self.wrote_frozen(process, map) => true,
            ["mmap", index, slot, "rw-shared" | "r-shared", _] if seen[0] != seen[1] => {
                return self.refused_mapping(process, index, slot, seen);
            }
            _ => seen[0] == seen[1],
        };
        if !same {
            return Ok(Some(self.differ("", seen)));
        }
        if succeeded(&seen[0]) {
            self.note(process, words)?;
        }
        Ok(None)
    }

    /// What may differ: where the tree is; what an overlay tells of links of directories, and of when something was
    /// read; the whiteouts in a directory of one layer, which are listed.
    fn normal(&self, words: &[&str], root: &std::path::Path, text: &str) -> String {
        let text = text.replace(&root.display().to_string(), "");
        // Some file systems say the one where others say the other.
        if words[0] == "rename" && text == Errno::EXIST.to_string() {
            return Errno::NOTEMPTY.to_string();
        }
        let left_out = |word: &&str| match words[0] {
            "stat" => {
                word.starts_with("nlink=") && text.contains("Directory")
                    || word.starts_with("atime=")
                    || ["no", "blocks"].contains(word)
            }
            _ => word.ends_with("(CharacterDevice)"),
        };
        let kept: Vec<&str> = text.split(' ').filter(|word| !left_out(word)).collect();
        kept.join(" ").trim_end().to_owned()
    }

    /// Notes that a private mapping was written to, of which is known what it shows. What can be written may differ: the
    /// file was longer or shorter.
    fn wrote_frozen(&mut self, process: Process, map: &str) -> bool {
        let maps = &mut self.holdings[number(process)].maps;
        let map = slot_number(map).and_then(|index| maps[index].as_mut());
        match map.filter(|map| map.private && map.frozen.is_some()) {
            Some(map) => {
                map.frozen = Some(Frozen::Written);
                true
            }
            None => false,
        }
    }

    fn same_mapped(&self, process: Process, map: &str, seen: &[String; 2]) -> bool {
        let maps = &self.holdings[number(process)].maps;
        let map = slot_number(map).and_then(|index| maps[index].as_ref());
        let length = |text: &str| text.split(' ').nth(1).map(str::to_owned);
        match map.and_then(|map| map.frozen.as_ref()) {
            None => seen[0] == seen[1],
            Some(Frozen::Written) => true,
            // What is read ends where the file ends now.
            Some(Frozen::Shows(text)) => length(text) != length(&seen[0]) || *text == seen[1],
        }
    }

    /// A file that was opened for writing, and is not in the upper layer any more, cannot be mapped so.
    fn refused_mapping(
        &mut self,
        process: Process,
        index: &str,
        slot: &str,
        seen: [String; 2],
    ) -> Found {
        let busy = seen[1] == Errno::BUSY.to_string();
        if !busy || self.site.run(1, process, &["upper", slot])? != "ok no" {
            return Ok(Some(self.differ("", seen)));
        }
        // The mapping that was there is as gone as it would be.
        self.on_both(process, &["munmap", index])?;
        if let Some(index) = slot_number(index) {
            self.holdings[number(process)].maps[index] = None;
        }
        Ok(None)
    }

    /// Notes what the process holds after a step that succeeded.
    fn note(&mut self, process: Process, words: &[&str]) -> Result<(), Failed> {
        let at = number(process);
        match *words {
            ["open", slot, _, flags, _] => {
                let mut open = self.opened(process, slot)?;
                open.write = flags.starts_with("rw") || flags.starts_with('w');
                self.set_slot(at, slot, Some(open));
            }
            ["dup", from, to] => {
                let open = slot_number(from).and_then(|from| self.holdings[at].slots[from]);
                self.set_slot(at, to, open);
            }
            ["close", slot] => self.set_slot(at, slot, None),
            ["chdir", _] => self.holdings[at].cwd = Some(self.opened(process, ".")?),
            ["mmap", index, slot, kind, _] => {
                let mapped = slot_number(slot).and_then(|slot| self.holdings[at].slots[slot]);
                let mut map = Mapping {
                    ino: mapped.map_or(0, |open| open.ino),
                    writable: kind.ends_with("-shared") && mapped.is_some_and(|open| open.write),
                    private: kind == "rw-private",
                    frozen: None,
                };
                let upper = self.site.run(1, process, &["upper", slot])?;
                let in_layer = !self.changed.in_no_layer.contains(&map.ino);
                if !map.writable && upper == "ok no" && in_layer {
                    map.frozen = Some(self.mapped(process, index)?);
                }
                if let Some(index) = slot_number(index) {
                    self.holdings[at].maps[index] = Some(map);
                }
            }
            ["link", ..] => {
                let nodes = self.nodes().into_values();
                let linked =
                    nodes.filter(|node| node.links > 1 && node.kind != FileType::Directory);
                self.changed.linked.extend(linked.map(|node| node.ino));
            }
            // Otherwise it is up to when the page is written back whether the next one is told to the file.
            ["mwrite", index, ..] => self.on_both(process, &["msync", index])?,
            ["munmap", index] => {
                if let Some(index) = slot_number(index) {
                    self.holdings[at].maps[index] = None;
                }
            }
            _ => (),
        }
        Ok(())
    }

    fn set_slot(&mut self, at: usize, slot: &str, open: Option<Open>) {
        if let Some(slot) = slot_number(slot) {
            self.holdings[at].slots[slot] = open;
        }
    }

    fn opened(&mut self, process: Process, place: &str) -> Result<Open, Failed> {
        let text = self.site.run(0, process, &["inode", place])?;
        let words: Vec<&str> = text.split(' ').collect();
        let ino = words.get(1).and_then(|word| word.parse().ok());
        Ok(Open {
            ino: ino.ok_or_else(|| Failed(format!("inode {place}: {text}")))?,
            write: false,
            dir: text.ends_with("Directory"),
        })
    }

    fn mapped(&mut self, process: Process, index: &str) -> Result<Frozen, Failed> {
        let text = self.site.run(0, process, &["mread", index, "0", MAPPED])?;
        Ok(Frozen::Shows(text))
    }

    /// Has the processes close and unmap `objects`, or work elsewhere.
    pub fn let_go(&mut self, objects: &BTreeSet<u64>) -> Result<(), Failed> {
        let is_one = |open: &Option<Open>| open.is_some_and(|open| objects.contains(&open.ino));
        for process in Process::ALL {
            let at = number(process);
            for slot in 0..crate::actor::SLOTS {
                if is_one(&self.holdings[at].slots[slot]) {
                    self.on_both(process, &["close", &format!("@{slot}")])?;
                    self.holdings[at].slots[slot] = None;
                }
            }
            for index in 0..crate::actor::SLOTS {
                let map = self.holdings[at].maps[index].as_ref();
                if map.is_some_and(|map| objects.contains(&map.ino)) {
                    self.on_both(process, &["munmap", &format!("@{index}")])?;
                    self.holdings[at].maps[index] = None;
                }
            }
            if is_one(&self.holdings[at].cwd) {
                self.on_both(process, &["chdir", "/"])?;
                self.holdings[at].cwd = Some(self.opened(process, ".")?);
            }
        }
        Ok(())
    }

    /// Has a process do the same in the plain tree and in the mount, without a comparison.
    pub fn on_both(&mut self, process: Process, words: &[&str]) -> Result<(), Failed> {
        for side in 0..2 {
            self.site.run(side, process, words)?;
        }
        Ok(())
    }

    /// Notes what mappings show of files of the upper layer, which is about to be a lower one, or to leave. Those without
    /// a name, which are not in `named`, are in no layer.
    pub fn freeze(&mut self, named: &BTreeSet<u64>) -> Result<(), Failed> {
        for process in Process::ALL {
            for index in 0..crate::actor::SLOTS {
                let map = self.holdings[number(process)].maps[index].as_ref();
                let map = map.filter(|map| named.contains(&map.ino));
                if map.is_some_and(|map| !map.writable && map.frozen.is_none()) {
                    let frozen = self.mapped(process, &format!("@{index}"))?;
                    if let Some(map) = self.holdings[number(process)].maps[index].as_mut() {
                        map.frozen = Some(frozen);
                    }
                }
            }
        }
        Ok(())
    }
}
