// SPDX-License-Identifier: GPL-2.0

//! `rovl drop`: a mount gives a lower layer up.

use super::changing::Changing;
use crate::exit::{usage, Exit};
use crate::mounts::journal::Step;
use crate::mounts::{live, Overlay};
use crate::show::{name, Out};
use anyhow::Result;
use std::path::PathBuf;

/// Take a lower layer away from a mount
///
/// The mount has to have been made with the option live, and to have another lower layer. What is in the layer shows no
/// longer, and what it has hidden shows again. The layer stays as it is on disk. Open files of it can be read,
/// and no longer written to (ESTALE).
#[derive(Debug, clap::Args)]
pub struct Args {
    /// A path on the overlay
    mount: PathBuf,
    /// The layer, by its name or its number, as rovl list shows them
    layer: String,
    #[command(flatten)]
    changing: Changing,
}

/// Runs the command.
pub fn run(args: &Args, _out: &mut Out) -> Result<Exit> {
    let overlay = Overlay::at(&args.mount)?;
    let root = live::root(&overlay)?;
    let layers = live::named_layers(&overlay, &root)?;
    let (mount, text) = (name(&args.mount), name(&args.layer));
    let layer = live::find(&layers, &args.layer)
        .ok_or_else(|| usage(format!("{mount} has no lower layer {text}")))?;
    args.changing
        .change(&overlay, &root, Step::Drop(layer), || {
            live::drop_layer(&root, layer, args.changing.wait)
        })?;
    Ok(Exit::FINE)
}
