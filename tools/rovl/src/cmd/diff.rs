// SPDX-License-Identifier: GPL-2.0

//! `rovl diff`: what an upper layer changes, or how two stacks differ.

mod patch;
mod report;

use super::layer_args::{Directories, LayerArgs};
use crate::changes::{compare, of_layer, Differences, Options};
use crate::exit::{self, Exit};
use crate::layer::Layer;
use crate::show::Out;
use crate::stack::Stack;
use anyhow::Result;
use std::ffi::OsString;
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;

/// Show what an upper layer changes, or how two stacks of layers differ
///
/// Of an upper layer alone, whiteouts are what was removed, redirects what was renamed, and what has an
/// origin is something that was copied up, so that it counts as changed. With the lower layers at hand, what
/// was copied up and is the same after all is left out, and it is said in which respects the others differ.
/// Only the upper layer is walked, and of the lower ones what is beside it.
///
/// Each line starts with A for added, M for changed, D for removed, and R for renamed. What is removed is
/// removed with all that was in it. Directories have a slash at their end.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Exit codes:
  0  nothing is different
  1  something is different
  2  the command line is wrong
  3  something failed, or not all could be compared")]
pub struct Args {
    #[command(flatten)]
    layers: LayerArgs,
    /// The lower layers, the topmost first, and the upper layer; or the upper layer alone
    #[arg(value_name = "LAYER")]
    named: Vec<PathBuf>,
    /// Compare with the stack that these mount options name, and not with the lower layers
    #[arg(long, value_name = "LIST")]
    from: Option<OsString>,
    /// Show sizes, and a sum
    #[arg(long, conflicts_with = "unified")]
    stat: bool,
    /// Show a unified diff of text
    #[arg(short, long)]
    unified: bool,
    /// Times of the last change count, too
    #[arg(long)]
    times: bool,
}

/// The stacks that are compared.
struct Stacks {
    before: Stack,
    after: Stack,
}

/// Runs the command.
pub fn run(args: &Args, out: &mut Out) -> Result<Exit> {
    let (found, stacks) = args.find()?;
    for error in &found.errors {
        eprintln!("rovl diff: {error}");
    }
    match (&stacks, args.unified) {
        (None, true) => {
            return Err(exit::usage(
                "-u takes the content that was there before: name the lower layers, too",
            ));
        }
        (Some(stacks), true) if !out.json() => {
            patch::show(&found.changes, &stacks.before, &stacks.after, out)?;
        }
        _ => report::show(&found.changes, args.stat, out)?,
    }
    Ok(match (found.errors.is_empty(), found.changes.is_empty()) {
        (false, _) => Exit::FAILED,
        (true, true) => Exit::FINE,
        (true, false) => Exit::DIFFERENT,
    })
}

impl Args {
    fn find(&self) -> Result<(Differences, Option<Stacks>)> {
        let options = Options { times: self.times };
        let directories = self.directories()?;
        let namespace = self.layers.namespace(&directories);
        let after = directories.stack(namespace)?;
        let before = match &self.from {
            Some(list) => {
                let from = Directories::of_options([list.as_bytes()])?;
                if from.lower.is_empty() {
                    return Err(exit::usage("--from: lowerdir is missing"));
                }
                from.stack(self.layers.namespace(&from))?
            }
            None => {
                let Some(upper) = &directories.upper else {
                    return Err(exit::usage(
                        "no upper layer: name one, or what to compare with by --from",
                    ));
                };
                if directories.lower.is_empty() {
                    let found = of_layer(&Layer::open(upper, namespace)?)?;
                    return Ok((found, None));
                }
                let without = Directories {
                    upper: None,
                    ..directories
                };
                without.stack(namespace)?
            }
        };
        let found = compare(&before, &after, options)?;
        Ok((found, Some(Stacks { before, after })))
    }

    /// The layers; an upper one alone is enough.
    fn directories(&self) -> Result<Directories> {
        self.layers.upper_or_all(&self.named)
    }
}
