// SPDX-License-Identifier: GPL-2.0

//! `rovl branch`: a second mount, of what there was when a checkpoint was made.

use super::changing::Pair;
use crate::exit::{usage, Exit};
use crate::mounts::journal::Journal;
use crate::mounts::{self, live, Options, Overlay, Request};
use crate::show::{name, Out};
use anyhow::{Context, Result};
use ondisk::backslash;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

/// Mount what there was when a checkpoint was made, while the mount goes on
///
/// The layers from the checkpoint down are mounted at TARGET, read-only. With DIR, which is made, what is changed there
/// gets to an upper layer of its own, in DIR/upper, and that mount has the option live, too, so that it can have
/// checkpoints and branches itself. Options that say what is in the layers, redirect_dir and userxattr,
/// are those of the first mount.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// A path on the overlay
    mount: PathBuf,
    /// The checkpoint, by its name or its number, as rovl list shows them
    checkpoint: String,
    /// The directory to mount it on
    target: PathBuf,
    /// A new directory for an upper layer
    dir: Option<PathBuf>,
    /// A new journal for the second mount
    #[arg(short, long, value_name = "FILE", requires = "dir")]
    journal: Option<PathBuf>,
}

/// Runs the command.
pub fn run(args: &Args, _out: &mut Out) -> Result<Exit> {
    let overlay = Overlay::at(&args.mount)?;
    let layers = live::named_layers(&overlay, &live::root(&overlay)?)?;
    let place = layers
        .iter()
        .position(|layer| layer.kind != "upper" && layer.is(&args.checkpoint));
    let below = place.and_then(|place| layers.get(place..)).ok_or_else(|| {
        usage(format!(
            "{} has no checkpoint {}",
            name(&args.mount),
            name(&args.checkpoint)
        ))
    })?;
    let pair = match &args.dir {
        Some(dir) => Some(Pair::make(dir)?),
        None => None,
    };
    let options = options(&overlay, below, pair.as_ref());
    let kind = overlay.mount.kind.clone();
    let request = Request {
        kind: &kind,
        source: b"none",
        target: &args.target,
        sloppy: false,
        layers: &[],
    };
    let mounted = match &args.journal {
        Some(journal) => Journal::mount(journal, &request, &options),
        None => mounts::mount(&request, &options),
    };
    let mounted = mounted.with_context(|| name(&args.target).to_string());
    if let (Err(_), Some(pair)) = (&mounted, &pair) {
        pair.remove();
    }
    for line in mounted? {
        eprintln!("rovl: {}: {}", name(&args.target), name(&line));
    }
    Ok(Exit::FINE)
}

/// The options of the second mount.
fn options(overlay: &Overlay, below: &[live::Layer], pair: Option<&Pair<'_>>) -> Options {
    let mut options = Options::default();
    let mut set = |key: &str, value: Option<Vec<u8>>| {
        options.fs.push((key.as_bytes().to_vec(), value));
    };
    for layer in below {
        set("lowerdir+", Some(layer.path.0.clone()));
    }
    if overlay.option("userxattr").is_some() {
        set("userxattr", None);
    } else if let Some(redirect) = overlay.option("redirect_dir") {
        set("redirect_dir", Some(redirect.value.clone()));
    }
    if let Some(pair) = pair {
        set("upperdir", Some(escaped(&pair.upper)));
        set("workdir", Some(escaped(&pair.work)));
        set("live", None);
    }
    options
}

/// A path as the value of an option that knows backslashes.
fn escaped(path: &Path) -> Vec<u8> {
    let bytes = path.as_os_str().as_bytes();
    let escaped = bytes.iter().flat_map(|byte| match byte {
        b'\\' => vec![b'\\', b'\\'],
        byte => vec![*byte],
    });
    let escaped: Vec<u8> = escaped.collect();
    debug_assert!(backslash::unescaped(&escaped).eq(bytes.iter().copied()));
    escaped
}
