// SPDX-License-Identifier: GPL-2.0
//! What the comparison of layers that change under a mount asks of an open file, see `live`.

use std::path::PathBuf;

use rovl_testing::query::layers_of;
use rustix::fs::{self, AtFlags, FileType};
use rustix::io::Errno;

use crate::actor::{Actor, Outcome};
use crate::live::key;

/// The operations of this module.
pub fn run(actor: &Actor, words: &[&str]) -> Option<Outcome> {
    match *words {
        ["inode", path] => Some(inode(actor, path)),
        ["upper", slot] => Some(upper(actor, slot)),
        _ => None,
    }
}

/// The number and the type of an open file or of the working directory.
fn inode(actor: &Actor, path: &str) -> Outcome {
    let (dir, path, empty): (_, PathBuf, AtFlags) = actor.place(path)?;
    let stat = fs::statat(dir, path, empty)?;
    let kind = FileType::from_raw_mode(stat.st_mode);
    Ok(format!("{} {kind:?}", key(&stat)))
}

/// Whether the overlay that an open file is on has it in its upper layer.
fn upper(actor: &Actor, slot: &str) -> Outcome {
    let layer = actor.fd(slot).and_then(layers_of);
    match layer {
        Ok(layer) => Ok(if layer.top == 0 { "yes" } else { "no" }.to_owned()),
        Err(Errno::NOTTY) => Ok("no overlay".to_owned()),
        Err(error) => Err(error),
    }
}
