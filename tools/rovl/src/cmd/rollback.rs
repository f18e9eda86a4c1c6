// SPDX-License-Identifier: GPL-2.0

//! `rovl rollback`: a mount goes back to a checkpoint.

use super::changing::{Changing, Pair};
use crate::exit::{usage, Exit};
use crate::mounts::journal::Step;
use crate::mounts::{live, Overlay};
use crate::show::{name, Out};
use anyhow::Result;
use std::path::PathBuf;

/// Go back to a checkpoint: throw away what was changed since
///
/// The mount, which has to have been made with the option live, shows what it showed when the checkpoint was
/// made. The layers above it leave the mount, but stay where they are on disk. What is changed from now on gets to
/// a new upper layer, in DIR/upper; DIR/work is its work directory.
///
/// Open files of what is gone can be read, and no longer written to (ESTALE). A file that is mapped shared and
/// writable keeps the mount from going back. After --wait nothing was changed, and the command fails.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// A path on the overlay
    mount: PathBuf,
    /// The checkpoint, by its name or its number, as rovl list shows them
    checkpoint: String,
    /// A new directory for the new upper layer, on the file system of the one that there is
    dir: PathBuf,
    #[command(flatten)]
    changing: Changing,
}

/// Runs the command.
pub fn run(args: &Args, _out: &mut Out) -> Result<Exit> {
    let overlay = Overlay::at(&args.mount)?;
    let root = live::root(&overlay)?;
    let layers = live::named_layers(&overlay, &root)?;
    let (mount, text) = (name(&args.mount), name(&args.checkpoint));
    let to = live::find(&layers, &args.checkpoint)
        .ok_or_else(|| usage(format!("{mount} has no checkpoint {text}")))?;
    let pair = Pair::make(&args.dir)?;
    let step = Step::Rollback(&pair.upper, &pair.work, to);
    let changing = &args.changing;
    changing.change_upper(&overlay, &root, (&pair, step), |dirs| {
        live::rollback(&root, to, dirs, changing.wait)
    })?;
    Ok(Exit::FINE)
}
