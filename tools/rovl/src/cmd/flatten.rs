// SPDX-License-Identifier: GPL-2.0

//! `rovl flatten`: layers into one.

use super::keeping_args::{show, KeepingArgs};
use super::layer_args::{Directories, LongLayerArgs};
use crate::edit::{flatten, unused, Flatten};
use crate::exit::Exit;
use crate::show::Out;
use anyhow::Result;
use std::path::PathBuf;

/// Make one layer of several, which shows the same by itself
///
/// Whiteouts, opaque directories, redirects and files without data are resolved. Hard links, extended
/// attributes, holes, devices, owners and times are kept; attributes of the overlay itself are left out.
/// Content is shared with the layers where the file system can do that (reflinks), and copied elsewhere.
///
/// The new layer is built beside DIR and takes its place when it is complete. A run that was interrupted, or
/// that the disk was too full for, is gone on with by the same command. The layers themselves are only read;
/// they must not be changed meanwhile.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Exit codes:
  0  the layer was made, or an interrupted run undone
  1  it was made, but for what is said on stderr
  2  the command line is wrong
  3  something failed: nothing is changed, or the journal says how far it is")]
pub struct Args {
    /// The new layer: a directory that is not there yet, or an empty one
    #[arg(short, long, value_name = "DIR")]
    output: PathBuf,
    /// All layers that are named are lower ones
    #[arg(long)]
    no_upper: bool,
    #[command(flatten)]
    keeping: KeepingArgs,
    #[command(flatten)]
    layers: LongLayerArgs,
    /// The lower layers, the topmost first, and the upper layer
    #[arg(value_name = "LAYER")]
    named: Vec<PathBuf>,
}

/// Runs the command.
pub fn run(args: &Args, out: &mut Out) -> Result<Exit> {
    let layers = args.layers.layers();
    let directories = if args.no_upper && !args.named.is_empty() {
        Directories {
            lower: args.named.clone(),
            ..Directories::default()
        }
    } else {
        layers.upper_or_all(&args.named)?
    };
    let stack = directories.stack_with_index(layers.namespace(&directories))?;
    if let Some(upper) = stack.layers().first().filter(|_| stack.has_upper()) {
        if let Err(used) = unused([upper]) {
            eprintln!(
                "rovl flatten: {used:#}, or what is changed meanwhile may be half in the result"
            );
        }
    }
    let keeping = args.keeping.keeping();
    let request = Flatten {
        stack: &stack,
        to: &args.output,
        keeping: &keeping,
    };
    let progress = out.progress("flattened", None);
    let outcome = flatten(&request, &progress)?;
    let exit = match progress.notes() {
        0 => Exit::FINE,
        _ => Exit::DIFFERENT,
    };
    drop(progress);
    show(outcome, out)?;
    Ok(exit)
}
