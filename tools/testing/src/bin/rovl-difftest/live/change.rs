// SPDX-License-Identifier: GPL-2.0
//! Steps of the machine: the layers change, and the plain tree with them.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use rovl_testing::stack::{self, name_of, path_of};
use rovl_testing::Request;
use rustix::fs::FileType;
use rustix::io::Errno;
use rustix::mount::{mount_move, unmount, UnmountFlags};

use super::sequence::{number, Found, Sequence};
use super::site::{make_dir, Identity};
use super::tree::{self, Nodes, Settling};
use crate::actor::SLOTS;
use crate::memory;
use crate::run::{Difference, Failed};
use crate::script::Process;
use crate::snapshot::{first_difference, Snapshot};
use ioctls::stack::StackEntry;

/// Milliseconds that a change may take to begin.
const WAIT: u32 = 10_000;

/// What there was before a change.
struct Before {
    nodes: Nodes,
    identities: BTreeMap<PathBuf, Identity>,
    mounts: Vec<PathBuf>,
}

fn told(what: &str) -> impl FnOnce(Errno) -> Failed + '_ {
    move |errno| Failed(format!("{what}: {errno}"))
}

fn inos(nodes: &Nodes) -> BTreeSet<u64> {
    nodes.values().map(|node| node.ino).collect()
}

impl Sequence {
    /// Does a step that no process does.
    pub fn machine(&mut self, words: &[&str]) -> Found {
        if let ["mount", count] = *words {
            let count = count
                .parse()
                .map_err(|_| Failed("mount of what?".to_owned()))?;
            return self.mount(count);
        }
        if self.site.mounted.is_none() {
            return Ok(None);
        }
        let layers = self.site.stack();
        let place = |name: &str| layers.iter().position(|entry| name_of(entry) == name);
        match *words {
            ["checkpoint", name] if place(name).is_none() => self.checkpoint(name),
            ["rollback", name] => match place(name) {
                Some(position) => self.rollback(name, &layers[position]),
                None => Ok(None),
            },
            ["push", number] => self.push(number.parse().unwrap_or(0), &layers),
            ["drop", number] => self.drop_layer(number.parse().unwrap_or(0), &layers),
            ["branch", name] => match place(name) {
                Some(position) => self.branch(name, &layers[position..]),
                None => Ok(None),
            },
            ["attach", path] => self.attach(Path::new(path)),
            ["detach"] => self.detach(),
            ["check"] => self.check(),
            ["drop-caches"] => {
                memory::forget(false)?;
                Ok(None)
            }
            ["checkpoint", _] => Ok(None),
            _ => Err(Failed(format!("no such step: {}", words.join(" ")))),
        }
    }

    fn mount(&mut self, count: usize) -> Found {
        if self.site.mounted.is_some() {
            return Ok(None);
        }
        self.site.mount(count)?;
        self.settle(&self.site.stack(), &BTreeSet::new())?;
        self.check()
    }

    /// The plain tree becomes what the in-tree module shows of `layers`.
    fn settle(&self, layers: &[StackEntry], kept: &BTreeSet<PathBuf>) -> Result<(), Failed> {
        let settled = self
            .site
            .with_oracle(layers, |root| self.settle_to(root, kept))?;
        settled.map_err(told("the plain tree"))
    }

    fn settle_to(&self, wanted: &Path, kept: &BTreeSet<PathBuf>) -> Result<(), Errno> {
        let settling = Settling {
            plain: &self.site.plain,
            wanted,
            kept,
            gone: &self.site.dir("gone"),
        };
        settling.settle(Path::new(""))
    }

    /// Compares all that is shown.
    pub fn check(&mut self) -> Found {
        let mounts = [&self.site.plain, &self.site.merged].map(|root| self.site.mounts(root));
        if mounts[0] != mounts[1] {
            let seen = mounts.map(|mounts| format!("{mounts:?}"));
            return Ok(Some(self.differ("what is mounted below", seen)));
        }
        let shown = [&self.site.plain, &self.site.merged].map(|root| tree::shown(root, &mounts[0]));
        Ok(self.first("the trees", &shown[0], &shown[1]))
    }

    fn first(&self, what: &str, expected: &Snapshot, seen: &Snapshot) -> Option<Difference> {
        let (path, a, b) = first_difference(expected, seen)?;
        Some(self.differ(&format!("{what}, /{}", path.display()), [a, b]))
    }

    fn before(&mut self) -> Result<Before, Failed> {
        self.break_links()?;
        let linked = std::mem::take(&mut self.changed.linked);
        self.let_go(&linked)?;
        let mounts = self.site.mounts(&self.site.plain);
        for path in &mounts {
            let from = self.site.plain.join(path);
            mount_move(&from, self.site.dir(PARKED)).map_err(told("move a mount"))?;
        }
        let nodes = self.nodes();
        let identities = self.site.identities(nodes.keys());
        Ok(Before {
            nodes,
            identities,
            mounts,
        })
    }

    /// Leaves one name to each file: in a lower layer the first change would break the link.
    fn break_links(&mut self) -> Result<(), Failed> {
        let mut known = BTreeSet::new();
        for (path, node) in self.nodes() {
            if node.kind != FileType::Directory && node.links > 1 && !known.insert(node.ino) {
                for root in [&self.site.plain, &self.site.merged] {
                    rustix::fs::unlink(root.join(&path)).map_err(told("break a link"))?;
                }
            }
        }
        Ok(())
    }

    /// The mappings that are shared and can be written: those of files with a name, or of files without one. These are
    /// in no layer, and may be in the way or not.
    fn writable(&self, before: &Before, with_name: bool) -> Vec<(Process, usize)> {
        let inos = inos(&before.nodes);
        let mut found = Vec::new();
        for process in Process::ALL {
            let maps = self.holdings[number(process)].maps.iter().enumerate();
            let maps = maps.filter(|(_, map)| {
                let map = map.as_ref().filter(|map| map.writable);
                map.is_some_and(|map| inos.contains(&map.ino) == with_name)
            });
            found.extend(maps.map(|(index, _)| (process, index)));
        }
        found
    }

    fn unmap(&mut self, maps: &[(Process, usize)]) -> Result<(), Failed> {
        for (process, index) in maps {
            self.on_both(*process, &["munmap", &format!("@{index}")])?;
            self.holdings[number(*process)].maps[*index] = None;
        }
        Ok(())
    }

    /// Asks for a change that is refused while a file is mapped so that it would be changed in a checkpoint. Such mappings
    /// are ended then.
    fn ask(
        &mut self,
        before: &Before,
        change: &dyn Fn(u32) -> Result<(), Errno>,
    ) -> Result<Option<String>, Failed> {
        let named = self.writable(before, true);
        if !named.is_empty() {
            let refused = change(0);
            if refused != Err(Errno::BUSY) {
                return Ok(Some(format!("{refused:?} while {named:?} is mapped")));
            }
            self.unmap(&named)?;
        }
        let unnamed = self.writable(before, false);
        if !unnamed.is_empty() {
            if change(0).is_ok() {
                return Ok(None);
            }
            self.unmap(&unnamed)?;
        }
        Ok(change(WAIT).err().map(|errno| errno.to_string()))
    }

    fn checkpoint(&mut self, name: &str) -> Found {
        let before = self.before()?;
        let named = inos(&before.nodes);
        self.freeze(&named)?;
        let in_no_layer = self.unnamed_uppers(&named)?;
        let (upper, work) = self.site.pair()?;
        let merged = self.site.merged.clone();
        let change = |wait| {
            let done = stack::checkpoint(&merged, &upper, &work, name, wait);
            done.map(drop).map_err(|(errno, _)| errno)
        };
        if let Some(refused) = self.ask(&before, &change)? {
            return Ok(Some(self.differ("", ["ok".to_owned(), refused])));
        }
        self.count("checkpoint", true);
        self.changed.in_no_layer.extend(in_no_layer);
        let copy = self.site.dir("copies").join(name);
        tree::copy(&self.site.plain, &copy).map_err(told("copy"))?;
        self.copies.insert(name.to_owned(), copy.clone());
        let numbers = self.site.identities(before.nodes.keys());
        if let Some(found) = self.other_number(&before, &numbers, |_| true) {
            return Ok(Some(found));
        }
        let disk = &self.site.stack()[1..];
        let disk = self.site.with_oracle(disk, |root| tree::shown(root, &[]))?;
        let found = self.first("on disk", &tree::shown(&copy, &[]), &disk);
        Ok(found.or(self.after(&before)?))
    }

    fn rollback(&mut self, name: &str, meant: &StackEntry) -> Found {
        let hidden = std::mem::take(&mut self.changed.hidden);
        self.let_go(&hidden)?;
        let before = self.before()?;
        self.freeze(&inos(&before.nodes))?;
        let (upper, work) = self.site.pair()?;
        let merged = self.site.merged.clone();
        let change = |wait| {
            let done = stack::rollback(&merged, &upper, &work, meant, wait);
            done.map(drop).map_err(|(errno, _)| errno)
        };
        if let Some(refused) = self.ask(&before, &change)? {
            return Ok(Some(self.differ("", ["ok".to_owned(), refused])));
        }
        self.count("rollback", true);
        let copy = self.site.dir("copies").join(name);
        let wanted = tree::shown(&copy, &[]);
        let disk = self.site.stack();
        let disk = self
            .site
            .with_oracle(&disk, |root| tree::shown(root, &[]))?;
        if let Some(found) = self.first("on disk", &wanted, &disk) {
            return Ok(Some(found));
        }
        self.changed(before, Some(&copy))
    }

    fn push(&mut self, number: usize, layers: &[StackEntry]) -> Found {
        let dir = self.site.lowers.get(number).cloned();
        let there = |dir: &PathBuf| layers.iter().any(|entry| path_of(entry) == *dir);
        let Some(dir) = dir.filter(|dir| !there(dir)) else {
            return Ok(None);
        };
        let before = self.before()?;
        let name = format!("lower{number}");
        if let Err((errno, _)) = stack::push(&self.site.merged, &dir, &name, WAIT) {
            return Ok(Some(self.differ("", ["ok".to_owned(), errno.to_string()])));
        }
        self.count("push", true);
        let before_this = self.changed.gone.clone();
        let found = self.changed(before, None)?;
        let hidden = self.changed.gone.difference(&before_this);
        self.changed.hidden.extend(hidden);
        Ok(found)
    }

    fn drop_layer(&mut self, number: usize, layers: &[StackEntry]) -> Found {
        let lowers = layers.len() - 1;
        if lowers < 2 {
            return Ok(None);
        }
        let position = 1 + number % lowers;
        let hidden = std::mem::take(&mut self.changed.hidden);
        self.let_go(&hidden)?;
        let before = self.before()?;
        if let Err((errno, _)) = stack::drop_layer(&self.site.merged, &layers[position], WAIT) {
            return Ok(Some(self.differ("", ["ok".to_owned(), errno.to_string()])));
        }
        self.count("drop", true);
        // What a checkpoint above it shows is another tree now.
        let layers = self.site.stack();
        for (at, entry) in layers.iter().enumerate().take(position).skip(1) {
            let Some(copy) = self.copies.get(&name_of(entry)) else {
                continue;
            };
            crate::tree::remove(copy)?;
            let copied = self
                .site
                .with_oracle(&layers[at..], |root| tree::copy(root, copy))?;
            copied.map_err(told("copy"))?;
        }
        self.changed(before, None)
    }

    /// The plain tree becomes the copy of a checkpoint, or what the layers show now; what is not the object any more
    /// that it was is gone.
    fn changed(&mut self, before: Before, wanted: Option<&Path>) -> Found {
        let now = self.site.identities(before.nodes.keys());
        let kept = |path: &&PathBuf| {
            let same = |a: &Identity, b: &Identity| a.is_same(b);
            let (was, is) = (before.identities.get(*path), now.get(*path));
            was.zip(is).is_some_and(|(was, is)| same(was, is))
        };
        let files = before
            .nodes
            .iter()
            .filter(|(_, node)| node.kind != FileType::Directory);
        let kept: BTreeSet<PathBuf> = files.map(|(path, _)| path).filter(kept).cloned().collect();
        match wanted {
            Some(copy) => self
                .settle_to(copy, &kept)
                .map_err(told("the plain tree"))?,
            None => self.settle(&self.site.stack(), &kept)?,
        }
        let nodes = self.nodes();
        let (had, has) = (inos(&before.nodes), inos(&nodes));
        self.changed.gone.extend(had.difference(&has));
        let unnamed = self.held().filter(|ino| !had.contains(ino));
        let unnamed: Vec<u64> = unnamed
            .filter(|ino| !self.changed.gone.contains(ino))
            .collect();
        self.changed.unnamed.extend(unnamed);
        let found_again = self.found_again(&before, &nodes);
        self.let_go(&found_again)?;
        let stays = |path: &Path| {
            let node = nodes.get(path);
            node.is_some_and(|node| {
                before
                    .nodes
                    .get(path)
                    .is_some_and(|was| was.ino == node.ino)
            })
        };
        if let Some(found) = self.other_number(&before, &now, stays) {
            return Ok(Some(found));
        }
        self.after(&before)
    }

    /// The objects that processes have open, or work in.
    fn held(&self) -> impl Iterator<Item = u64> + '_ {
        let held = self.holdings.iter();
        let held = held.flat_map(|held| held.slots.iter().chain([&held.cwd]).flatten());
        held.map(|open| open.ino)
    }

    /// The open files that are in the upper layer, and have no name there.
    fn unnamed_uppers(&mut self, named: &BTreeSet<u64>) -> Result<BTreeSet<u64>, Failed> {
        let mut found = BTreeSet::new();
        for process in Process::ALL {
            for slot in 0..SLOTS {
                let open = self.holdings[number(process)].slots[slot];
                let Some(open) = open.filter(|open| !named.contains(&open.ino)) else {
                    continue;
                };
                if self.site.run(1, process, &["upper", &format!("@{slot}")])? == "ok yes" {
                    found.insert(open.ino);
                }
            }
        }
        Ok(found)
    }

    /// What is gone by the name that it had, and is found by another one: it was moved with a directory above it.
    /// Whether it is the same then depends on what is looked up first.
    fn found_again(&self, before: &Before, nodes: &Nodes) -> BTreeSet<u64> {
        let now = self.site.identities(nodes.keys());
        let gone = before.nodes.iter().filter(|(path, node)| {
            let was = before.identities.get(*path);
            self.changed.gone.contains(&node.ino)
                && was.is_some_and(|was| now.values().any(|is| is.is_same(was)))
        });
        gone.map(|(_, node)| node.ino).collect()
    }

    /// The first path at which what stays has another number.
    fn other_number(
        &self,
        before: &Before,
        now: &BTreeMap<PathBuf, Identity>,
        stays: impl Fn(&Path) -> bool,
    ) -> Option<Difference> {
        let (path, was) = before.identities.iter().find(|(path, was)| {
            stays(path) && now.get(*path).is_none_or(|is| is.shown != was.shown)
        })?;
        let what = format!("the number of /{}", path.display());
        let seen = now.get(path).map(|is| is.shown);
        Some(self.differ(&what, [was.shown.to_string(), format!("{seen:?}")]))
    }

    /// What was mounted below is there, and the trees are the same.
    fn after(&mut self, before: &Before) -> Found {
        for path in &before.mounts {
            let is_marked = |path: &PathBuf| self.site.merged.join(path).join(MARK).is_dir();
            // With a directory that is found by another name it is there, see `found_again`.
            let there = self.site.mounts(&self.site.merged);
            let found = std::iter::once(path)
                .chain(&there)
                .find(|path| is_marked(path));
            let Some(found) = found.cloned() else {
                let what = format!("what is mounted at /{}", path.display());
                let seen = ["it".to_owned(), format!("mounts {there:?}")];
                return Ok(Some(self.differ(&what, seen)));
            };
            let (plain, parked) = (self.site.plain.join(path), self.site.dir(PARKED));
            if found == *path && plain.is_dir() && !plain.is_symlink() {
                mount_move(&parked, &plain).map_err(told("move a mount back"))?;
                continue;
            }
            self.attached = false;
            for place in [parked, self.site.merged.join(found)] {
                unmount(&place, UnmountFlags::DETACH).map_err(told("unmount"))?;
            }
        }
        self.check()
    }

    /// A second mount, on the checkpoint `name` with all that is below it.
    fn branch(&mut self, name: &str, layers: &[StackEntry]) -> Found {
        let mut wanted = tree::shown(&self.site.dir("copies").join(name), &[]);
        let (mut shown, made) = self.site.with_branch(layers, |root| {
            let shown = tree::shown(root, &[]);
            (shown, std::fs::write(root.join("a-branch"), "of its own"))
        })?;
        made?;
        // The root is that of the new upper layer.
        for shown in [&mut wanted, &mut shown] {
            shown.remove(Path::new(""));
        }
        self.count("branch", true);
        Ok(self.first("the branch", &wanted, &shown))
    }

    fn attach(&mut self, path: &Path) -> Found {
        let (plain, ours) = (self.site.plain.join(path), self.site.merged.join(path));
        let free = self.site.mounts(&self.site.plain).is_empty();
        if free && plain.is_dir() && !plain.is_symlink() && plain != self.site.plain {
            self.break_links()?;
            attach(&plain)?;
            attach(&ours)?;
            self.attached = true;
        }
        Ok(None)
    }

    fn detach(&mut self) -> Found {
        self.attached = false;
        for root in [&self.site.plain, &self.site.merged] {
            for path in self.site.mounts(root).iter().rev() {
                unmount(root.join(path), UnmountFlags::DETACH).map_err(told("unmount"))?;
            }
        }
        self.check()
    }

    /// The last comparison: what both types show of the layers afterwards.
    pub fn end(&mut self) -> Found {
        if self.site.mounted.is_none() {
            return Ok(None);
        }
        if let Some(found) = self.detach()? {
            return Ok(Some(found));
        }
        let wanted = tree::shown(&self.site.plain, &[]);
        for (kind, seen) in self.site.leave()? {
            if let Some(found) = self.first(&format!("{kind} afterwards"), &wanted, &seen) {
                return Ok(Some(found));
            }
        }
        Ok(None)
    }
}

/// Where what is mounted below the plain tree is while that becomes another one.
const PARKED: &str = "parked";

/// A file in what is mounted below the root.
const MARK: &str = "mark";

/// Mounts something with a file in it.
fn attach(path: &Path) -> Result<(), Failed> {
    let mounted = Request::new("tmpfs").mount(path);
    let mounted = mounted.map_err(|refused| Failed(refused.describe()))?;
    // It stays until the machine unmounts it.
    std::mem::forget(mounted);
    make_dir(&path.join(MARK))
}
