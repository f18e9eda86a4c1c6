// SPDX-License-Identifier: GPL-2.0

//! `rovl vacuum`: away with what is of no use in an upper layer.

use super::keeping_args::KeepingArgs;
use super::layer_args::LayerArgs;
use crate::edit::{vacuum, Outcome, Reason, Vacuum, Vacuumed};
use crate::exit::{self, Exit};
use crate::show::{count, name, Bytes, Out};
use anyhow::Result;
use serde::Serialize;
use std::io::Write;
use std::path::PathBuf;

/// Remove what is of no use in an upper layer
///
/// That is: whiteouts with nothing below; copies that are equal to what is below in content, permissions,
/// owner, extended attributes and time; empty directories that are equal to the one below; and marks of
/// opaque and impure directories that say nothing. What the layers show stays the same. Files with several
/// names are left. The upper layer must not be mounted.
///
/// A run that was interrupted is gone on with by the same command. With --undo it is given up; what it removed
/// was of no use, and is not brought back.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Exit codes:
  0  done
  1  done, but something could not be looked at, and was left
  2  the command line is wrong
  3  something failed")]
pub struct Args {
    /// Change nothing, and show what would be removed
    #[arg(short = 'n', long)]
    dry_run: bool,
    /// A copy is of no use if only the time of its last change is different
    #[arg(long)]
    ignore_times: bool,
    #[command(flatten)]
    keeping: KeepingArgs,
    #[command(flatten)]
    layers: LayerArgs,
    /// The lower layers, the topmost first, and the upper layer
    #[arg(value_name = "LAYER")]
    named: Vec<PathBuf>,
}

/// Something that was removed, as JSON has it.
#[derive(Serialize)]
struct Shown {
    path: Bytes,
    reason: Reason,
}

/// Runs the command.
pub fn run(args: &Args, out: &mut Out) -> Result<Exit> {
    let directories = args.layers.directories(&args.named, false)?;
    if directories.upper.is_none() {
        return Err(exit::usage("no upper layer: name one"));
    }
    let stack = directories.stack(args.layers.namespace(&directories))?;
    let keeping = args.keeping.keeping();
    let request = Vacuum {
        stack: &stack,
        times: !args.ignore_times,
        dry: args.dry_run,
        keeping: &keeping,
    };
    let done = vacuum(&request, &out.progress("looked at", None))?;
    show(&done, args.dry_run, out)?;
    for error in &done.errors {
        eprintln!("rovl vacuum: {error}");
    }
    Ok(match done.errors.is_empty() {
        true => Exit::FINE,
        false => Exit::DIFFERENT,
    })
}

fn show(done: &Vacuumed, dry_run: bool, out: &mut Out) -> Result<()> {
    let mut shown = Vec::new();
    for planned in &done.plan {
        let dir = &planned.directory.0;
        let marks = planned.marks.iter().map(|mark| (dir.clone(), *mark));
        shown.extend(marks);
        for object in &planned.objects {
            let name = &object.name.0;
            let path = match dir.is_empty() {
                true => name.clone(),
                false => [dir.as_slice(), name].join(&b'/'),
            };
            shown.push((path, object.reason));
        }
    }
    shown.sort();
    for (path, reason) in &shown {
        if out.json() {
            let path = path.clone().into();
            let reason = *reason;
            out.record(&Shown { path, reason })?;
        } else {
            writeln!(out, "{}: {}", name(path), reason.text())?;
        }
    }
    if out.json() {
        return Ok(());
    }
    let total = u64::try_from(shown.len()).unwrap_or(u64::MAX);
    let total = count(total, "thing");
    match (done.outcome, dry_run) {
        (Outcome::Undone, _) => writeln!(out, "the interrupted run was given up")?,
        (_, true) => writeln!(out, "{total} would be removed")?,
        (_, false) => writeln!(out, "{total} removed")?,
    }
    Ok(())
}
