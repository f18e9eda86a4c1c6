// SPDX-License-Identifier: GPL-2.0

//! Away with what is of no use in an upper layer.

use super::journal::{Journal, Opened, Phase};
use super::plan::Planned;
use super::spot::{outside, unused, Spot};
use super::steps::Steps;
use super::useless::{find, Found};
use super::{build, Before, Keeping, Outcome};
use crate::layer::{Error, Layer};
use crate::show::Progress;
use crate::stack::Stack;
use anyhow::{bail, Result};

/// What is to be done.
#[derive(Clone, Copy, Debug)]
pub struct Vacuum<'a> {
    /// The layers, with an upper one.
    pub stack: &'a Stack,
    /// Whether a copy with another time of the last change is of use.
    pub times: bool,
    /// Change nothing.
    pub dry: bool,
    /// The journal.
    pub keeping: &'a Keeping,
}

/// What came of it.
#[derive(Debug)]
pub struct Vacuumed {
    /// Whether it was done, or undone.
    pub outcome: Outcome,
    /// What was removed, or would be.
    pub plan: Vec<Planned>,
    /// What could not be looked at, and was left.
    pub errors: Vec<Error>,
}

/// Removes what is of no use in the upper layer of the stack.
pub fn vacuum(request: &Vacuum<'_>, progress: &Progress) -> Result<Vacuumed> {
    let stack = request.stack;
    let [upper, _, ..] = stack.layers() else {
        bail!("too few layers: an upper and a lower one are needed");
    };
    let look = || find(stack, request.times, progress);
    if request.dry {
        return Ok(Vacuumed::of(Outcome::Done, look()?));
    }
    unused([upper])?;
    let layers = || stack.layers().iter().chain(stack.data_layers());
    let steps = Steps::new();
    let at = Spot::of(upper.path(), upper.namespace())?;
    outside(&at.dir, layers())?;
    let mut journal = match Journal::open(&at, "vacuum", layers(), request.keeping, &steps)? {
        Opened::New(journal) | Opened::Old(journal) => journal,
    };
    if request.keeping.before == Before::Undo {
        // What was removed was of no use, and is not brought back.
        for planned in journal.plan() {
            planned.set_back(upper)?;
        }
        journal.undo(&steps)?;
        return Ok(Vacuumed::of(Outcome::Undone, Found::default()));
    }
    let done = finish(upper, &mut journal, look, &steps);
    let found = done.map_err(|error| journal.kept(&error))?;
    journal.remove(&steps)?;
    Ok(Vacuumed::of(Outcome::Done, found))
}

fn finish(
    upper: &Layer,
    journal: &mut Journal,
    look: impl FnOnce() -> crate::layer::Result<Found>,
    steps: &Steps,
) -> Result<Found> {
    let mut errors = Vec::new();
    if journal.phase() == Phase::Making {
        let found = look()?;
        errors = found.errors;
        journal.planned(found.plan, steps)?;
    }
    for planned in journal.plan() {
        planned.apply(upper, steps)?;
    }
    build::sync(&upper.root()?)?;
    let plan = journal.plan().to_vec();
    Ok(Found { plan, errors })
}

impl Vacuumed {
    fn of(outcome: Outcome, found: Found) -> Self {
        Self {
            outcome,
            plan: found.plan,
            errors: found.errors,
        }
    }
}
