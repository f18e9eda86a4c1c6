// SPDX-License-Identifier: GPL-2.0

//! What the commands have in common that change the layers of a mount.

use crate::mounts::journal::{Journal, Step};
use crate::mounts::Overlay;
use crate::show::name;
use anyhow::{Context, Result};
use rustix::fd::OwnedFd;
use rustix::fs::{fsync, openat, Mode, OFlags, CWD};
use std::fs::{create_dir, remove_dir};
use std::path::{Path, PathBuf};

/// Options of these commands.
#[derive(Debug, clap::Args)]
pub struct Changing {
    /// How many milliseconds to wait for what keeps it from being done
    #[arg(short, long, value_name = "MS", default_value_t = 1000)]
    pub(super) wait: u32,
    /// The journal of the layers, which is made if it is not there; "none" for no journal. The default is
    /// the one that the mount was made with (rovl mount -o journal)
    #[arg(short, long, value_name = "FILE")]
    journal: Option<PathBuf>,
}

impl Changing {
    /// Asks for a change, which the journal has before and after that.
    pub(super) fn change(
        &self,
        overlay: &Overlay,
        root: &OwnedFd,
        step: Step<'_>,
        ask: impl FnOnce() -> Result<()>,
    ) -> Result<()> {
        let Some(mut journal) = Journal::of(overlay, root, self.journal.as_deref())? else {
            return ask();
        };
        journal.begin(overlay, root, step)?;
        let asked = ask();
        let settled = journal.settle(overlay, root);
        asked?;
        settled.context("the layers were changed, but that is not in the journal as done")
    }

    /// The same for a change that `ask` makes with a new upper layer: with both directories of `pair`, which go again if
    /// it fails.
    pub(super) fn change_upper(
        &self,
        overlay: &Overlay,
        root: &OwnedFd,
        (pair, step): (&Pair<'_>, Step<'_>),
        ask: impl FnOnce((&OwnedFd, &OwnedFd)) -> Result<()>,
    ) -> Result<()> {
        let made = pair
            .open()
            .and_then(|(upper, work)| self.change(overlay, root, step, || ask((&upper, &work))));
        if made.is_err() {
            pair.remove();
        }
        made
    }
}

/// A directory with one for an upper layer and one for a work directory in it.
pub(super) struct Pair<'a> {
    dir: &'a Path,
    pub(super) upper: PathBuf,
    pub(super) work: PathBuf,
}

impl<'a> Pair<'a> {
    /// Makes all three. A journal that has them is not on the disk before they are.
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
        let made = make(&pair.upper)
            .and_then(|()| make(&pair.work))
            .and_then(|()| pair.sync());
        if made.is_err() {
            pair.remove();
        }
        made.map(|()| pair)
    }

    fn sync(&self) -> Result<()> {
        let parent = self.dir.parent().filter(|dir| !dir.as_os_str().is_empty());
        let parent = parent.unwrap_or(Path::new("."));
        for dir in [self.upper.as_path(), &self.work, self.dir, parent] {
            fsync(open(dir)?).with_context(|| format!("cannot write {} to the disk", name(dir)))?;
        }
        Ok(())
    }

    /// Opens both.
    pub(super) fn open(&self) -> Result<(OwnedFd, OwnedFd)> {
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

/// Opens a directory.
pub(super) fn open(dir: &Path) -> Result<OwnedFd> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    openat(CWD, dir, flags, Mode::empty()).with_context(|| format!("cannot open {}", name(dir)))
}
