// SPDX-License-Identifier: GPL-2.0

//! `rovl merge`: the upper layer into the topmost lower one.

use super::keeping_args::{show, KeepingArgs};
use super::layer_args::{Directories, LayerArgs};
use crate::edit::{merge, Merge};
use crate::exit::{self, Exit};
use crate::show::{name, Out};
use anyhow::Result;
use std::path::PathBuf;

/// Merge the upper layer into the topmost lower one
///
/// Afterwards the lower layer shows, above those below it, what the upper one showed, and the upper one is
/// empty: mounted again, they show the same as before. Whiteouts delete, opaque directories hide, redirects
/// move, and files without data get it; marks stay where layers below need them. None of the two may be
/// mounted, and what else uses the lower layer as a layer will see the change.
///
/// The merged layer is built beside the lower one, of the same files where they are on one mount (others are
/// copied), and then changes places with it. Up to there an interrupted run is gone on with by the same
/// command, or undone with --undo. After that, when the old files are removed and the upper layer is emptied,
/// it can only be gone on with.
///
/// The index in the work directory, if there was one, is of no use for the emptied upper layer: give it an
/// empty work directory.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Exit codes:
  0  the layer was merged, or an interrupted run undone
  1  it was merged, but for what is said on stderr
  2  the command line is wrong
  3  something failed: nothing is changed, or the journal says how far it is")]
pub struct Args {
    /// Leave the upper layer as it is; it is not to be mounted above the merged one
    #[arg(long)]
    keep_upper: bool,
    #[command(flatten)]
    keeping: KeepingArgs,
    #[command(flatten)]
    layers: LayerArgs,
    /// The upper layer, the lower one that it is merged into, and all below that
    #[arg(value_name = "LAYER")]
    named: Vec<PathBuf>,
}

/// Runs the command.
pub fn run(args: &Args, out: &mut Out) -> Result<Exit> {
    let directories = match args.named.as_slice() {
        [] => args.layers.directories(&[], false)?,
        [upper, lower @ ..] => {
            // For what it says of options that name layers, too.
            let mut found = args.layers.directories(&args.named, false)?;
            found.upper = Some(upper.clone());
            found.lower = lower.to_vec();
            found
        }
    };
    let Directories {
        upper: Some(upper), ..
    } = &directories
    else {
        return Err(exit::usage("no upper layer: name one"));
    };
    let stack = directories.stack(args.layers.namespace(&directories))?;
    let keeping = args.keeping.keeping();
    let request = Merge {
        stack: &stack,
        keep_upper: args.keep_upper,
        keeping: &keeping,
    };
    let progress = out.progress("merged", None);
    let outcome = merge(&request, &progress)?;
    let exit = match progress.notes() {
        0 => Exit::FINE,
        _ => Exit::DIFFERENT,
    };
    drop(progress);
    if args.keep_upper {
        eprintln!(
            "rovl merge: {} was left as it is: do not mount it above the merged layer",
            name(upper)
        );
    }
    show(outcome, out)?;
    Ok(exit)
}
