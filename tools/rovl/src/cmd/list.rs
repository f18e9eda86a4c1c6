// SPDX-License-Identifier: GPL-2.0

//! `rovl list`: the layers of a mount, with its checkpoints.

use crate::exit::Exit;
use crate::mounts::{live, Overlay};
use crate::show::{name, Align, Out, Table};
use anyhow::Result;
use std::path::PathBuf;

/// Show the layers of a mount, with its checkpoints
///
/// From the top, in the order in which a new mount of them shows the same tree. It works for all mounts of
/// rovl's own module; only those with the option live have checkpoints. Paths are those that the one saw who
/// gave the directory to the mount. If the mount has a journal, that knows the names of what was a layer already
/// when it was made.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// A path on the overlay
    mount: PathBuf,
}

/// Runs the command.
pub fn run(args: &Args, out: &mut Out) -> Result<Exit> {
    let overlay = Overlay::at(&args.mount)?;
    let layers = live::named_layers(&overlay, &live::root(&overlay)?)?;
    if out.json() {
        out.document(&layers)?;
        return Ok(Exit::FINE);
    }
    let mut table = Table::new(&[
        ("", Align::Right),
        ("", Align::Left),
        ("", Align::Left),
        ("", Align::Left),
    ]);
    for layer in &layers {
        table.row([
            layer.position.to_string(),
            layer.kind.to_owned(),
            name(&layer.name.0).to_string(),
            name(&layer.path.0).to_string(),
        ]);
    }
    table.show(out, 0)?;
    Ok(Exit::FINE)
}
