// SPDX-License-Identifier: GPL-2.0

//! `rovl checkpoint`: what is in the upper layer stays as it is, and the mount goes on with a new one.

use crate::exit::Exit;
use crate::mounts::live;
use crate::show::{name, Out};
use anyhow::{Context, Result};
use rustix::fd::OwnedFd;
use rustix::fs::{openat, Mode, OFlags, CWD};
use std::fs::{create_dir, remove_dir};
use std::path::{Path, PathBuf};

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
    /// How many milliseconds to wait for what keeps it from being made
    #[arg(short, long, value_name = "MS", default_value_t = 1000)]
    wait: u32,
}

/// Runs the command.
pub fn run(args: &Args, _out: &mut Out) -> Result<Exit> {
    let root = live::root(&args.mount)?;
    let pair = Pair::make(&args.dir)?;
    let made = pair
        .open()
        .and_then(|(upper, work)| live::checkpoint(&root, (&upper, &work), &args.name, args.wait));
    if made.is_err() {
        pair.remove();
    }
    made.map(|()| Exit::FINE)
}

/// A directory with one for an upper layer and one for a work directory in it.
pub(super) struct Pair<'a> {
    dir: &'a Path,
    pub(super) upper: PathBuf,
    pub(super) work: PathBuf,
}

impl<'a> Pair<'a> {
    /// Makes all three.
    pub(super) fn make(dir: &'a Path) -> Result<Self> {
        let pair = Self {
            dir,
            upper: dir.join("upper"),
            work: dir.join("work"),
        };
        let make = |dir: &Path| {
            create_dir(dir).with_context(|| format!("cannot make the directory {}", name(dir)))
        };
        make(dir)?;
        let made = make(&pair.upper).and_then(|()| make(&pair.work));
        if made.is_err() {
            pair.remove();
        }
        made.map(|()| pair)
    }

    fn open(&self) -> Result<(OwnedFd, OwnedFd)> {
        let open = |dir: &Path| {
            let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
            openat(CWD, dir, flags, Mode::empty())
                .with_context(|| format!("cannot open {}", name(dir)))
        };
        Ok((open(&self.upper)?, open(&self.work)?))
    }

    /// Removes what nothing was put into.
    pub(super) fn remove(&self) {
        // What the kernel has made in it before it failed.
        let _ = remove_dir(self.work.join("work"));
        for dir in [self.upper.as_path(), &self.work, self.dir] {
            let _ = remove_dir(dir);
        }
    }
}
