// SPDX-License-Identifier: GPL-2.0

//! `rovl push`: a mount gets one more lower layer.

use super::changing::{open, Changing};
use crate::exit::Exit;
use crate::mounts::journal::Step;
use crate::mounts::{live, Overlay};
use crate::show::Out;
use anyhow::Result;
use std::path::PathBuf;

/// Put a layer on top of the lower layers of a mount
///
/// The mount has to have been made with the option live. What is in the layer shows from now on, but for what the
/// upper layer has under the same names. The layer is not changed, and nobody else may change it.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// A path on the overlay
    mount: PathBuf,
    /// The layer
    dir: PathBuf,
    /// How the layer is to be called
    #[arg(short, long, value_name = "NAME", default_value = "")]
    name: String,
    #[command(flatten)]
    changing: Changing,
}

/// Runs the command.
pub fn run(args: &Args, _out: &mut Out) -> Result<Exit> {
    let overlay = Overlay::at(&args.mount)?;
    let root = live::root(&overlay)?;
    let layer = open(&args.dir)?;
    let step = Step::Push(&args.dir, &args.name);
    args.changing.change(&overlay, &root, step, || {
        live::push(&root, &layer, &args.name, args.changing.wait)
    })?;
    Ok(Exit::FINE)
}
