// SPDX-License-Identifier: GPL-2.0

//! A stack of layers into one that shows the same by itself.

use super::build::{build, Plan};
use super::journal::{Journal, Opened, Phase, TREE};
use super::spot::{outside, Spot};
use super::steps::Steps;
use super::{Before, Keeping, Outcome};
use crate::layer::Kind;
use crate::show::{name, Progress};
use crate::stack::Stack;
use anyhow::{bail, Result};
use rustix::fs::renameat;
use std::path::Path;

/// What is to be made.
#[derive(Clone, Copy, Debug)]
pub struct Flatten<'a> {
    /// The layers.
    pub stack: &'a Stack,
    /// The new layer: a directory that is not there yet, or an empty one.
    pub to: &'a Path,
    /// The journal.
    pub keeping: &'a Keeping,
}

/// Makes one layer that shows what the stack shows. An interrupted run leaves nothing at its place.
pub fn flatten(request: &Flatten<'_>, progress: &Progress) -> Result<Outcome> {
    let stack = request.stack;
    let steps = Steps::new();
    let layers = || stack.layers().iter().chain(stack.data_layers());
    let Some(first) = stack.layers().first() else {
        bail!("no layers");
    };
    let to = Spot::of(request.to, first.namespace())?;
    outside(&to.dir, layers())?;
    let taken = match to.entry()? {
        Some(there) => there.kind() != Kind::Dir || !there.is_empty()?,
        None => false,
    };
    let journal = request.keeping.journal.clone();
    let journal = journal.unwrap_or_else(|| to.journal("flatten"));
    // Without a journal it is not ours.
    if taken && !journal.exists() {
        bail!(
            "{} is there already: name a directory that is not, or an empty one",
            name(&to.path)
        );
    }
    let (mut journal, resumed) =
        match Journal::open(&to, "flatten", layers(), request.keeping, &steps)? {
            Opened::New(journal) => (journal, false),
            Opened::Old(journal) => (journal, true),
        };
    if request.keeping.before == Before::Undo {
        journal.undo(&steps)?;
        return Ok(Outcome::Undone);
    }
    // All was done but for the last of the journal.
    if taken && (!resumed || journal.phase() == Phase::Made) {
        journal.remove(&steps)?;
        return Ok(Outcome::Done);
    }
    let plan = Plan {
        stack,
        layers: stack.layers().len(),
        below: None,
        link: false,
        resumed,
        steps: &steps,
        progress,
    };
    let done = finish(&to, &mut journal, plan, &steps);
    done.map_err(|error| journal.kept(&error))?;
    journal.remove(&steps)?;
    Ok(Outcome::Done)
}

fn finish(to: &Spot, journal: &mut Journal, plan: Plan<'_>, steps: &Steps) -> Result<()> {
    if journal.phase() == Phase::Making {
        build(plan, journal)?;
    }
    if journal.dir().child(TREE.as_bytes())?.is_some() {
        // An empty directory gives way.
        renameat(journal.dir(), TREE, &to.dir, to.name.as_slice())
            .map_err(|errno| to.error("put the new layer there", errno))?;
        steps.step();
        to.sync()?;
    }
    Ok(())
}
