// SPDX-License-Identifier: GPL-2.0

//! Changing layers: a stack into one (flatten), the upper into the topmost lower one (merge), and away with
//! what is of no use (vacuum).
//!
//! A new tree is built beside what it is for, and takes its place by one rename; what it is made of stays
//! as it was until then. A journal says how far that is, so that a run that was interrupted at any instant
//! is gone on with, or undone, by the next one.

mod attributes;
mod below;
mod build;
mod data;
mod flatten;
mod journal;
mod merge;
mod object;
mod plan;
mod relative;
mod remove;
mod spot;
mod steps;
mod useless;
mod vacuum;

pub use flatten::{flatten, Flatten};
pub use merge::{merge, Merge};
pub use plan::{Object, Planned, Reason};
pub use spot::unused;
pub use vacuum::{vacuum, Vacuum, Vacuumed};

use std::path::PathBuf;

/// What to do about a run before that was interrupted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Before {
    /// Go on with it, or begin if there was none.
    #[default]
    Any,
    /// Go on with it; without one that is an error.
    Resume,
    /// Undo it; without one that is an error.
    Undo,
}

/// What came of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It is done.
    Done,
    /// An interrupted run was undone.
    Undone,
}

/// Where the journal is, if not in the usual place, and what to do with one that is there.
#[derive(Clone, Debug, Default)]
pub struct Keeping {
    /// Its directory.
    pub journal: Option<PathBuf>,
    /// What to do about a run before.
    pub before: Before,
}
