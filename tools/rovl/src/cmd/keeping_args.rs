// SPDX-License-Identifier: GPL-2.0

//! What commands that change layers have in common: their journal, and what they say in the end.

use crate::edit::{Before, Keeping, Outcome};
use crate::show::Out;
use anyhow::Result;
use serde::Serialize;
use std::io::Write;
use std::path::PathBuf;

/// The journal, and what to do about an interrupted run.
#[derive(Debug, Default, clap::Args)]
pub struct KeepingArgs {
    /// Where the journal is kept meanwhile: a directory that is not there, on the same file system; without,
    /// beside what is changed, as .NAME.rovl-COMMAND
    #[arg(long, value_name = "DIR")]
    journal: Option<PathBuf>,
    /// Go on with an interrupted run. That is done without it, too, but here it is an error if there is none
    #[arg(long, conflicts_with = "undo")]
    resume: bool,
    /// Undo an interrupted run
    #[arg(long)]
    undo: bool,
}

impl KeepingArgs {
    /// What they come to.
    pub fn keeping(&self) -> Keeping {
        let before = match (self.resume, self.undo) {
            (true, _) => Before::Resume,
            (_, true) => Before::Undo,
            _ => Before::Any,
        };
        Keeping {
            journal: self.journal.clone(),
            before,
        }
    }
}

/// The result, as JSON has it.
#[derive(Serialize)]
struct Shown {
    outcome: &'static str,
}

/// Shows what came of it.
pub fn show(outcome: Outcome, out: &mut Out) -> Result<()> {
    let text = match outcome {
        Outcome::Done => "done",
        Outcome::Undone => "undone",
    };
    if out.json() {
        out.document(&Shown { outcome: text })?;
    } else if outcome == Outcome::Undone {
        writeln!(out, "the interrupted run was undone")?;
    }
    Ok(())
}
