// SPDX-License-Identifier: GPL-2.0

//! Building a tree that shows what a stack shows, or what its topmost layers add to the others.
//!
//! The tree grows in the order of a walk. Every now and then it is written to the disk, and the journal says
//! up to where; whatever comes after that is made anew by a run that goes on.

use super::below::{Below, Beside};
use super::journal::{Journal, TREE};
use super::steps::Steps;
use super::{attributes, object};
use crate::layer::{Entry, Id, Keep, Kind, Layer, Levels, Place};
use crate::show::{name, names_below, Progress};
use crate::stack::{Identity, Node, Stack, Visit};
use anyhow::{Context, Result};
use rustix::fs::{openat, syncfs, Mode, OFlags};
use rustix::io::Errno;
use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// When the tree is written to the disk: after so much that was copied, or so long.
const BYTES: u64 = 1 << 28;
const TIME: Duration = Duration::from_secs(15);

/// A directory in the making.
#[derive(Debug)]
struct Level {
    out: Entry,
    beside: Option<Beside>,
    marks: Vec<attributes::Mark>,
}

impl Keep for Level {
    type Closed = (
        <Entry as Keep>::Closed,
        Option<<Beside as Keep>::Closed>,
        Vec<attributes::Mark>,
    );

    fn weight(&self) -> usize {
        let beside = self.beside.as_ref().map_or(0, Keep::weight);
        self.out.weight().saturating_add(beside)
    }

    fn close(&self) -> Self::Closed {
        let beside = self.beside.as_ref().map(Keep::close);
        (self.out.close(), beside, self.marks.clone())
    }

    fn open(
        (out, beside, marks): &Self::Closed,
        below: Option<&Self>,
    ) -> crate::layer::Result<Self> {
        let hint = below.and_then(|below| below.beside.as_ref());
        let beside = beside.as_ref().map(|beside| Beside::open(beside, hint));
        Ok(Self {
            out: Entry::open(out, below.map(|below| &below.out))?,
            beside: beside.transpose()?,
            marks: marks.clone(),
        })
    }
}

/// What is built.
pub(super) struct Builder<'a> {
    stack: &'a Stack,
    /// How many of the layers go into the tree.
    layers: usize,
    /// The layers that stay below the tree, if some do.
    below: Option<Below<'a>>,
    /// Objects that stay as they are get one more name, where the file system can.
    link: bool,
    journal: &'a mut Journal,
    steps: &'a Steps,
    progress: &'a Progress,
    tree: Layer,
    /// A run before may have left something.
    resumed: bool,
    /// All up to here was made before.
    reached: Option<Place>,
    levels: Levels<Level, ()>,
    /// Where the objects with several names are in the tree.
    names: HashMap<Identity, Place>,
    /// Files of the lower layer that will have the attributes of the upper one.
    taken: HashSet<Id>,
    /// What was made since the tree was on the disk.
    objects: u64,
    bytes: u64,
    since: Instant,
}

/// What a tree is built from, and how.
pub(super) struct Plan<'a> {
    pub(super) stack: &'a Stack,
    pub(super) layers: usize,
    pub(super) below: Option<Below<'a>>,
    pub(super) link: bool,
    pub(super) resumed: bool,
    pub(super) steps: &'a Steps,
    pub(super) progress: &'a Progress,
}

/// Builds the tree in the directory of the journal, which says in the end that it is there.
pub(super) fn build(plan: Plan<'_>, journal: &mut Journal) -> Result<()> {
    let namespace = journal.dir().layer().namespace();
    let root = object::directory(journal.dir(), TREE.as_bytes())?;
    root.fold_case(plan.stack.folds())?;
    let tree = open(&root)?;
    let mut builder = Builder {
        stack: plan.stack,
        layers: plan.layers,
        below: plan.below,
        link: plan.link,
        resumed: plan.resumed,
        steps: plan.steps,
        progress: plan.progress,
        tree: Layer::new(tree, &journal.path().join(TREE), namespace),
        reached: journal.reached(),
        journal,
        levels: Levels::default(),
        names: HashMap::new(),
        taken: HashSet::new(),
        objects: 0,
        bytes: 0,
        since: Instant::now(),
    };
    builder.run()?;
    let Builder { journal, steps, .. } = builder;
    sync(&root)?;
    journal.made(Some(root.id().ino), steps)
}

fn open(dir: &Entry) -> Result<rustix::fd::OwnedFd> {
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    openat(dir, ".", flags, Mode::empty()).map_err(|errno| dir.error("open", errno).into())
}

/// Writes the file system that a directory is on to the disk.
pub(super) fn sync(dir: &Entry) -> Result<()> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    openat(dir, ".", flags, Mode::empty())
        .and_then(syncfs)
        .map_err(|errno| dir.error("write it to the disk", errno).into())
}

impl Builder<'_> {
    fn run(&mut self) -> Result<()> {
        for place in self.journal.taken() {
            let taken = self.tree.at(&place)?;
            self.taken.extend(taken.map(|taken| taken.id()));
        }
        let stack = self.stack;
        let mut walk = stack.walk()?;
        while let Some(visit) = walk.step()? {
            match visit {
                Visit::Enter(node) if node.top().layer >= self.layers => walk.skip(),
                Visit::Enter(node) => self.enter(&node)?,
                Visit::Leave(node) => self.leave(&node)?,
            }
        }
        Ok(())
    }

    /// Whether an object was made by a run before. A directory may not have all yet that is in it.
    fn is_made(&self, place: &Place) -> bool {
        let reached = self.reached.as_ref();
        reached.is_some_and(|reached| place.components() <= reached.components())
    }

    /// Whether a directory was not finished by a run before.
    fn is_open(&self, place: &Place) -> bool {
        let reached = self.reached.as_ref();
        reached.is_none_or(|reached| place.contains(reached)) || !self.is_made(place)
    }

    fn enter(&mut self, node: &Arc<Node>) -> Result<()> {
        let place = node.place();
        if node.kind() == Kind::Dir {
            self.enter_directory(node)?;
        } else {
            let made = self.is_made(place);
            if !made {
                self.make(node)?;
            }
            let id = node.identity();
            if node.stat().nlink > 1 && !self.names.contains_key(&id) {
                self.look_for_other_names(node)?;
                self.names.insert(id, place.clone());
            }
            if made {
                return Ok(());
            }
        }
        self.progress.step(1);
        self.progress.at(place.name().unwrap_or_default());
        self.steps.step();
        self.checkpoint(place)
    }

    fn enter_directory(&mut self, node: &Arc<Node>) -> Result<()> {
        let parent = self.levels.last()?.map(|(parent, ())| parent);
        let (out, beside, marks) = match (&parent, node.place().name()) {
            (Some(parent), Some(name)) => {
                let out = object::directory(&parent.out, name)?;
                if self.is_open(node.place()) {
                    attributes::open_up(&out);
                }
                let beside = self.below.as_ref().zip(parent.beside.as_ref());
                let beside = beside.map(|(below, parent)| below.directory(parent, node));
                let (beside, marks) = beside.transpose()?.unzip();
                (out, beside, marks.unwrap_or_default())
            }
            _ => {
                let beside = self.below.as_ref().map(Below::root).transpose()?;
                (self.tree.root()?, beside, Vec::new())
            }
        };
        let level = Level { out, beside, marks };
        self.levels.push(Arc::new(level), ());
        Ok(())
    }

    /// Finishes a directory: what was made in it has changed its times.
    fn leave(&mut self, node: &Arc<Node>) -> Result<()> {
        let Some((level, ())) = self.levels.last()? else {
            return Ok(());
        };
        let place = node.place();
        if self.is_open(place) {
            if let Some((below, beside)) = self.below.as_ref().zip(level.beside.as_ref()) {
                below.whiteouts(beside, node, &level.out)?;
                self.steps.step();
            }
            attributes::copy(node.entry(), &level.out, &level.marks)?;
            self.steps.step();
        }
        self.levels.pop(&level);
        Ok(())
    }

    /// Tells of names that are not in the new tree what the upper layer has: that takes the index.
    fn look_for_other_names(&self, node: &Node) -> Result<()> {
        let known = self.stack.has_index() || !self.stack.has_upper();
        if known || node.top().layer > 0 {
            return Ok(());
        }
        let others = node.entry().names_below()?;
        if others > 0 {
            let (path, others) = (node.place().to_bytes(), names_below(others));
            self.progress.note(&format!(
                "{}: {others}: there the old content stays",
                name(&path)
            ));
        }
        Ok(())
    }

    /// Makes something that is no directory.
    fn make(&mut self, node: &Node) -> Result<()> {
        let parent = self.levels.last()?.map(|(parent, ())| parent);
        let Some((parent, name)) = parent.zip(node.place().name()) else {
            return Ok(());
        };
        let (dir, entry) = (&parent.out, node.entry());
        if self.resumed {
            object::clear(dir, name)?;
        }
        if let Some(first) = self.names.get(&node.identity()) {
            let first = self.tree.at(first)?;
            let lost = || entry.error("find its other name in the new tree", Errno::STALE);
            if object::link(dir, name, &first.ok_or_else(lost)?)? {
                return Ok(());
            }
        }
        // What has its data elsewhere only stays as it is if that is below the tree.
        let stays = node.top().layer.saturating_add(1) == self.layers || !entry.is_metacopy()?;
        let stays = stays && !self.taken.contains(&entry.id());
        if self.link && stays && object::link(dir, name, entry)? {
            return Ok(());
        }
        if node.kind() == Kind::File {
            if let Some(misfit) = self.stack.misfit(node)? {
                return Err(misfit.into());
            }
        }
        if let Some(data) = self.data_to_take(node)? {
            if object::link(dir, name, data)? {
                self.taken.insert(data.id());
                self.journal.take(node.place());
                return Ok(());
            }
        }
        let made = if node.kind() == Kind::File {
            let data = self.stack.open_data(node)?;
            let (made, copied) = object::file(dir, name, &data)
                .with_context(|| crate::show::name(&entry.shown()).to_string())?;
            self.bytes = self.bytes.saturating_add(copied);
            made
        } else {
            object::special(dir, name, entry)?
        };
        self.steps.step();
        attributes::copy(entry, &made, &[])?;
        Ok(())
    }

    /// The file with the data of one of the upper layer, if that is all that it is for: it gets the attributes
    /// later, when there is no way back.
    fn data_to_take<'n>(&self, node: &'n Node) -> Result<Option<&'n Entry>> {
        let elsewhere = node.data_place().is_some();
        let data = node.parts().last().filter(|_| self.link && !elsewhere);
        let data = data.filter(|data| data.layer > 0 && data.layer < self.layers);
        let Some(data) = data.map(|data| &data.entry) else {
            return Ok(None);
        };
        // With another name, here or in the lower layer, it is something else, too.
        let alone = data.stat_again()?.nlink == 1;
        Ok(Some(data).filter(|data| alone && data.kind() == Kind::File))
    }

    /// Writes the tree to the disk if it is time for that, and has the journal say so.
    fn checkpoint(&mut self, place: &Place) -> Result<()> {
        self.objects = self.objects.saturating_add(1);
        let due = match self.steps.checkpoint() {
            Some(every) => self.objects >= every,
            None => self.bytes >= BYTES || self.since.elapsed() >= TIME,
        };
        if !due || self.is_made(place) {
            return Ok(());
        }
        sync(&self.tree.root()?)?;
        self.journal.reach(place, self.steps)?;
        (self.objects, self.bytes, self.since) = (0, 0, Instant::now());
        Ok(())
    }
}
