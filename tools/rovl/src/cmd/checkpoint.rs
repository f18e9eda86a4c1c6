// SPDX-License-Identifier: GPL-2.0

//! `rovl checkpoint`: what is in the upper layer stays as it is, and the mount goes on with a new one.

use super::changing::{Changing, Pair};
use crate::exit::Exit;
use crate::mounts::journal::Step;
use crate::mounts::{live, Overlay};
use crate::show::Out;
use anyhow::Result;
use std::path::PathBuf;

/// Keep the upper layer of a mount as a checkpoint, and go on with a new one
///
/// The mount, which has to have been made with the option live, shows the same as before: names, contents,
/// attributes, open files and working directories stay. What is changed from now on gets to the new
/// upper layer, in DIR/upper; DIR/work is its work directory. The checkpoint is not changed any more, and can be
/// mounted as a lower layer; rovl list tells where it is.
///
/// A file that is mapped shared and writable keeps a checkpoint from being made. After --wait nothing was
/// changed, and the command fails.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// A path on the overlay
    mount: PathBuf,
    /// A new directory for the new upper layer, on the file system of the one that there is
    dir: PathBuf,
    /// How the checkpoint is to be called
    #[arg(short, long, value_name = "NAME", default_value = "")]
    name: String,
    #[command(flatten)]
    changing: Changing,
}

/// Runs the command.
pub fn run(args: &Args, _out: &mut Out) -> Result<Exit> {
    let overlay = Overlay::at(&args.mount)?;
    let root = live::root(&overlay)?;
    let pair = Pair::make(&args.dir)?;
    let step = Step::Checkpoint(&pair.upper, &pair.work, &args.name);
    let changing = &args.changing;
    changing.change_upper(&overlay, &root, (&pair, step), |dirs| {
        live::checkpoint(&root, dirs, &args.name, changing.wait)
    })?;
    Ok(Exit::FINE)
}
