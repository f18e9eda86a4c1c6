// SPDX-License-Identifier: GPL-2.0

//! The upper layer into the topmost lower one.
//!
//! What the two show is built beside the lower one, of the objects that they have as far as the file system
//! gives these one more name, and changes places with it. Up to there all can be undone; then files of the
//! lower layer get the attributes of those of the upper one that have none but these, and the upper layer is
//! emptied: there is only the way forward.

use super::attributes::{self, by_descriptor, set_times};
use super::below::{Below, EMPTY};
use super::build::{build, Plan};
use super::journal::{Journal, Opened, Phase, TREE};
use super::object;
use super::spot::{id_of, outside, sync_dir, unused, Spot};
use super::steps::Steps;
use super::{remove, Before, Keeping, Outcome};
use crate::layer::Layer;
use crate::show::{name, Progress};
use crate::stack::Stack;
use anyhow::{bail, Context, Result};
use ondisk::Name;
use rustix::fs::{openat, removexattr, renameat_with, Mode, OFlags, RenameFlags};
use rustix::io::Errno;

/// What the root of an upper layer says of the layer that was merged, and of what is not in it any more.
const OF_THE_UPPER: [Name; 2] = [Name::Origin, Name::Impure];

/// What is to be merged.
#[derive(Clone, Copy, Debug)]
pub struct Merge<'a> {
    /// The layers, with an upper one.
    pub stack: &'a Stack,
    /// Leave the upper layer as it is. It cannot be used above the merged one.
    pub keep_upper: bool,
    /// The journal.
    pub keeping: &'a Keeping,
}

/// Changes the topmost lower layer so that it shows, above the others, what the stack shows, and empties the
/// upper one.
pub fn merge(request: &Merge<'_>, progress: &Progress) -> Result<Outcome> {
    let stack = request.stack;
    let steps = Steps::new();
    let layers = || stack.layers().iter().chain(stack.data_layers());
    let [upper, lower, ..] = stack.layers() else {
        bail!("too few layers: an upper and a lower one are needed");
    };
    unused([upper, lower])?;
    let to = Spot::of(lower.path(), lower.namespace())?;
    let there = to.entry();
    if there.is_err() || there?.map(|entry| entry.id()) != Some(id_of(&lower.root()?)?) {
        bail!(
            "{} cannot be replaced: something is mounted on it; name it where it is not",
            name(lower.path())
        );
    }
    outside(&to.dir, layers())?;
    outside(&Spot::of(upper.path(), upper.namespace())?.dir, layers())?;
    let (mut journal, resumed) =
        match Journal::open(&to, "merge", layers(), request.keeping, &steps)? {
            Opened::New(journal) => (journal, false),
            Opened::Old(journal) => (journal, true),
        };
    let placed = journal.phase() != Phase::Making
        && to.entry()?.map(|entry| entry.id().ino) == journal.tree();
    if request.keeping.before == Before::Undo {
        if placed {
            bail!(
                "the merged layer has taken the place of {}, which cannot be undone: run the command \
                 again without --undo, and it is finished",
                name(&to.path)
            );
        }
        journal.undo(&steps)?;
        return Ok(Outcome::Undone);
    }
    let merging = Merging {
        request,
        to: &to,
        upper,
        resumed,
        steps: &steps,
        progress,
    };
    let done = merging.finish(&mut journal, placed);
    done.map_err(|error| journal.kept(&error))?;
    journal.remove(&steps)?;
    Ok(Outcome::Done)
}

struct Merging<'a> {
    request: &'a Merge<'a>,
    to: &'a Spot,
    upper: &'a Layer,
    resumed: bool,
    steps: &'a Steps,
    progress: &'a Progress,
}

impl Merging<'_> {
    fn finish(&self, journal: &mut Journal, placed: bool) -> Result<()> {
        if journal.phase() == Phase::Making {
            self.build(journal)?;
        }
        if !placed {
            self.exchange(journal)?;
        }
        if journal.phase() != Phase::Placed {
            self.to.sync()?;
            sync_dir(journal.dir())?;
            journal.placed(self.steps)?;
        }
        self.attributes(journal)?;
        if !self.request.keep_upper {
            self.empty_upper()?;
        }
        Ok(())
    }

    fn build(&self, journal: &mut Journal) -> Result<()> {
        let stack = self.request.stack;
        let plan = Plan {
            stack,
            layers: 2,
            below: self.below(journal)?,
            link: true,
            resumed: self.resumed,
            steps: self.steps,
            progress: self.progress,
        };
        build(plan, journal)
    }

    fn below(&self, journal: &Journal) -> Result<Option<Below<'_>>> {
        let stack = self.request.stack;
        if stack.layers().len() == 2 {
            return Ok(None);
        }
        let empty = object::directory(journal.dir(), EMPTY.as_bytes())?;
        empty.fold_case(stack.folds())?;
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let fd = openat(&empty, ".", flags, Mode::empty())
            .map_err(|errno| empty.error("open", errno))?;
        let path = journal.path().join(EMPTY);
        let empty = Layer::new(fd, &path, self.upper.namespace());
        Ok(Some(Below::new(stack, 2, empty)?))
    }

    /// Has the new tree and the lower layer change places.
    fn exchange(&self, journal: &Journal) -> Result<()> {
        let to = self.to;
        let exchange = RenameFlags::EXCHANGE;
        renameat_with(journal.dir(), TREE, &to.dir, to.name.as_slice(), exchange)
            .map_err(|errno| to.error("put the merged layer there", errno))
            .with_context(|| "the file system has to be able to exchange two names")?;
        self.steps.step();
        Ok(())
    }

    /// Gives the files that are of the lower layer for their data the attributes of the upper one.
    fn attributes(&self, journal: &Journal) -> Result<()> {
        let merged = Layer::open(&self.to.path, self.upper.namespace())?;
        for place in journal.taken() {
            // Where it is gone, a run before has come to emptying.
            let from = self.upper.at(&place)?;
            if let Some((from, to)) = from.zip(merged.at(&place)?) {
                attributes::replace(&from, &to)?;
                self.steps.step();
            }
        }
        Ok(())
    }

    fn empty_upper(&self) -> Result<()> {
        let root = self.upper.root()?;
        // Those that the root had before, also if this was begun by a run before.
        let times = self.to.entry()?.map(|merged| *merged.stat());
        remove::empty(root.try_clone()?, self.steps)?;
        for mark in OF_THE_UPPER {
            let mark = mark.full(self.upper.namespace());
            match removexattr(by_descriptor(&root), mark) {
                Ok(()) | Err(Errno::NODATA | Errno::OPNOTSUPP) => {}
                Err(errno) => return Err(root.error("remove its attribute", errno).into()),
            }
        }
        if let Some(times) = times {
            set_times(&root, times.atime, times.mtime)?;
        }
        self.steps.step();
        Ok(())
    }
}
