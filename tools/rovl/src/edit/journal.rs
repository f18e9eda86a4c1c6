// SPDX-License-Identifier: GPL-2.0

//! The journal: a directory beside what is changed, with the tree that is being built, and a file that says
//! how far it is. The file is replaced as a whole and written to the disk before what it says is relied on.

use super::plan::Planned;
use super::spot::{outside, sync_dir, Spot};
use super::steps::Steps;
use super::{Before, Keeping};
use crate::layer::{Entry, Kind, Layer, Place};
use crate::show::{name, Bytes};
use anyhow::{anyhow, bail, Context, Result};
use rustix::fd::OwnedFd;
use rustix::fs::{
    flock, fsync, mkdirat, openat, renameat, unlinkat, AtFlags, FlockOperation, Mode, OFlags,
};
use rustix::io::Errno;
use rustix::process::geteuid;
use serde::{Deserialize, Serialize};
use std::fs::File;
use std::io::{Read, Write};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

/// The file.
const FILE: &str = "journal";

/// The file in the making.
const NEW: &str = "journal.new";

/// The tree that is being built, and what it took the place of.
pub(super) const TREE: &str = "tree";

/// The longest file that is read.
const LONGEST: u64 = 1 << 30;

/// The version of what is in the file.
const VERSION: u32 = 1;

/// How far it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Phase {
    /// The tree, or the plan, is being made. Nothing was changed.
    Making,
    /// It is complete, and on the disk.
    Made,
    /// It took its place: there is no way back.
    Placed,
    /// What was made is being removed.
    Undoing,
}

/// A layer that it is about.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Which {
    path: Bytes,
    inode: u64,
}

/// What the file says.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct State {
    version: u32,
    command: String,
    layers: Vec<Which>,
    phase: Phase,
    /// All up to here is on the disk.
    reached: Option<Bytes>,
    /// The inode of the root of the new tree.
    tree: Option<u64>,
    /// Files of the lower layer that get the attributes of the upper one when the tree has its place.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    taken: Vec<Bytes>,
    /// What is to be removed.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    plan: Vec<Planned>,
}

/// An open journal, which nobody else has.
#[derive(Debug)]
pub(super) struct Journal {
    spot: Spot,
    dir: Entry,
    /// Open for syncing, and locked.
    lock: OwnedFd,
    state: State,
}

/// What was found where the journal is to be.
#[derive(Debug)]
pub(super) enum Opened {
    /// Nothing, or what was left when a journal was made or removed.
    New(Journal),
    /// An interrupted run.
    Old(Journal),
}

impl Journal {
    /// Opens the journal for changing what is at `target`, or makes one. `layers` are the ones that
    /// `command` is about.
    pub(super) fn open<'a>(
        target: &Spot,
        command: &str,
        layers: impl IntoIterator<Item = &'a Layer> + Clone,
        keeping: &Keeping,
        steps: &Steps,
    ) -> Result<Opened> {
        let path = keeping.journal.clone();
        let path = path.unwrap_or_else(|| target.journal(command));
        let spot = Spot::of(&path, target.dir.layer().namespace())?;
        if spot.dir.id().dev != target.dir.id().dev {
            bail!(
                "{} is on another file system than {}: name a place on that one with --journal",
                name(&path),
                name(&target.path)
            );
        }
        outside(&spot.dir, layers.clone())?;
        let is_there = spot.entry()?.is_some();
        if !is_there && keeping.before != Before::Any {
            bail!(
                "there is no interrupted run: {} is not there",
                name(&spot.path)
            );
        }
        if !is_there {
            mkdirat(&spot.dir, spot.name.as_slice(), 0o700.into())
                .map_err(|errno| spot.error("make the directory of the journal", errno))?;
            steps.step();
        }
        let state = State::new(command, layers)?;
        Self::lock(spot, state)?.read(steps)
    }

    fn lock(spot: Spot, state: State) -> Result<Self> {
        let dir = spot.entry()?.filter(|entry| entry.kind() == Kind::Dir);
        let dir =
            dir.ok_or_else(|| anyhow!("{} is not a directory: remove it", name(&spot.path)))?;
        // What it says is done, so it has to be from who it is done for.
        let stat = dir.stat();
        if stat.uid != geteuid().as_raw() || stat.permissions() & 0o022 != 0 {
            bail!(
                "{} belongs to, or can be written by, another user: name another place with --journal",
                name(&spot.path)
            );
        }
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let lock = openat(&dir, ".", flags, Mode::empty())
            .map_err(|errno| dir.error("open the journal", errno))?;
        match flock(&lock, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => {}
            Err(Errno::WOULDBLOCK) => {
                bail!("{}: another run is at work on it", name(&spot.path))
            }
            Err(errno) => return Err(dir.error("lock the journal", errno).into()),
        }
        Ok(Self {
            spot,
            dir,
            lock,
            state,
        })
    }

    /// Reads the file, if it is there, or writes it.
    fn read(mut self, steps: &Steps) -> Result<Opened> {
        let shown = name(&self.spot.path).to_string();
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let file = match openat(&self.dir, FILE, flags, Mode::empty()) {
            Ok(file) => File::from(file),
            Err(Errno::NOENT) => {
                let listed = self.dir.list()?;
                if listed.iter().any(|listed| *listed.name != *NEW.as_bytes()) {
                    bail!("{shown} is not a journal: name another place with --journal");
                }
                self.save(steps)?;
                sync_dir(&self.spot.dir)?;
                return Ok(Opened::New(self));
            }
            Err(errno) => return Err(self.dir.error("read the journal", errno).into()),
        };
        let mut text = String::new();
        let read = file.take(LONGEST).read_to_string(&mut text);
        read.with_context(|| format!("cannot read the journal in {shown}"))?;
        let found: State = serde_json::from_str(&text)
            .with_context(|| format!("the journal in {shown} is damaged"))?;
        if found.version != VERSION {
            bail!("the journal in {shown} was written by another version of rovl: finish it with that");
        }
        if !found.is_of(&self.state) {
            let paths = found
                .layers
                .iter()
                .map(|which| name(&which.path.0).to_string());
            let paths: Vec<_> = paths.collect();
            bail!(
                "{shown} has an interrupted rovl {} of other layers: run that once more first ({})",
                found.command,
                paths.join(" ")
            );
        }
        if found.phase == Phase::Undoing {
            // Nothing of it can be relied on.
            self.remove_trees(steps)?;
            self.save(steps)?;
            return Ok(Opened::New(self));
        }
        self.state = found;
        Ok(Opened::Old(self))
    }

    /// Writes the file, and makes sure that it is on the disk.
    fn save(&self, steps: &Steps) -> Result<()> {
        let failed = |errno| self.dir.error("write the journal", errno);
        let text = serde_json::to_vec(&self.state)?;
        let flags =
            OFlags::WRONLY | OFlags::CREATE | OFlags::TRUNC | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let new = openat(&self.dir, NEW, flags, 0o600.into()).map_err(failed)?;
        let mut new = File::from(new);
        new.write_all(&text)
            .map_err(|error| failed(Errno::from_io_error(&error).unwrap_or(Errno::IO)))?;
        steps.step();
        fsync(&new).map_err(failed)?;
        renameat(&self.dir, NEW, &self.dir, FILE).map_err(failed)?;
        steps.step();
        fsync(&self.lock).map_err(failed)?;
        Ok(())
    }

    /// The directory of it.
    pub(super) fn dir(&self) -> &Entry {
        &self.dir
    }

    /// Where it is.
    pub(super) fn path(&self) -> &Path {
        &self.spot.path
    }

    /// How far it is.
    pub(super) fn phase(&self) -> Phase {
        self.state.phase
    }

    /// The inode of the root of the tree that was built.
    pub(super) fn tree(&self) -> Option<u64> {
        self.state.tree
    }

    /// What is to be removed.
    pub(super) fn plan(&self) -> &[Planned] {
        &self.state.plan
    }

    /// Where the tree has files of the lower layer that get the attributes of the upper one.
    pub(super) fn taken(&self) -> impl Iterator<Item = Place> + '_ {
        self.state.taken.iter().map(|path| Place::of(&path.0))
    }

    /// One more of these. It is written when it is said how far the tree is.
    pub(super) fn take(&mut self, place: &Place) {
        self.state.taken.push(place.to_bytes().into());
    }

    /// Up to where the tree is on the disk.
    pub(super) fn reached(&self) -> Option<Place> {
        self.state.reached.as_ref().map(|path| Place::of(&path.0))
    }

    /// All up to `place` is on the disk.
    pub(super) fn reach(&mut self, place: &Place, steps: &Steps) -> Result<()> {
        self.state.reached = Some(place.to_bytes().into());
        self.save(steps)
    }

    /// The tree is complete, and on the disk.
    pub(super) fn made(&mut self, tree: Option<u64>, steps: &Steps) -> Result<()> {
        self.state.tree = tree;
        self.state.phase = Phase::Made;
        self.save(steps)
    }

    /// This is what is to be removed.
    pub(super) fn planned(&mut self, plan: Vec<Planned>, steps: &Steps) -> Result<()> {
        self.state.plan = plan;
        self.made(None, steps)
    }

    /// The tree took its place.
    pub(super) fn placed(&mut self, steps: &Steps) -> Result<()> {
        self.state.phase = Phase::Placed;
        self.save(steps)
    }

    /// Removes what was made, and the journal.
    pub(super) fn undo(mut self, steps: &Steps) -> Result<()> {
        self.state.phase = Phase::Undoing;
        self.save(steps)?;
        self.remove(steps)
    }

    fn remove_trees(&self, steps: &Steps) -> Result<()> {
        for tree in [TREE, super::below::EMPTY] {
            super::remove::tree(&self.dir, tree.as_bytes(), steps)?;
        }
        Ok(())
    }

    /// Removes it, with what is in it. All is done that it was for.
    pub(super) fn remove(self, steps: &Steps) -> Result<()> {
        self.remove_trees(steps)?;
        for file in [NEW, FILE] {
            super::object::clear(&self.dir, file.as_bytes())?;
            steps.step();
        }
        unlinkat(
            &self.spot.dir,
            self.spot.name.as_slice(),
            AtFlags::REMOVEDIR,
        )
        .map_err(|errno| {
            self.spot
                .error("remove the directory of the journal", errno)
        })?;
        sync_dir(&self.spot.dir)?;
        Ok(())
    }

    /// Says with an error what is left, and what can be done.
    pub(super) fn kept(&self, error: &anyhow::Error) -> anyhow::Error {
        let path = name(self.path());
        let undo = match self.state.phase {
            Phase::Placed => "",
            _ => ", or undo it with --undo",
        };
        anyhow!("{error:#}\nwhat was done is kept in {path}: run the command again to go on{undo}")
    }
}

impl State {
    fn new<'a>(command: &str, layers: impl IntoIterator<Item = &'a Layer>) -> Result<Self> {
        let which = |layer: &Layer| {
            let path = layer.path().canonicalize()?;
            Ok(Which {
                path: path.as_os_str().as_bytes().into(),
                inode: layer.root()?.id().ino,
            })
        };
        Ok(Self {
            version: VERSION,
            command: command.to_owned(),
            layers: layers.into_iter().map(which).collect::<Result<_>>()?,
            phase: Phase::Making,
            reached: None,
            tree: None,
            taken: Vec::new(),
            plan: Vec::new(),
        })
    }

    /// Whether it is about the same. What was built may have taken the place of a layer meanwhile.
    fn is_of(&self, wanted: &Self) -> bool {
        let same = |(one, two): (&Which, &Which)| {
            one.path == two.path && (one.inode == two.inode || self.tree == Some(two.inode))
        };
        self.command == wanted.command
            && self.layers.len() == wanted.layers.len()
            && self.layers.iter().zip(&wanted.layers).all(same)
    }
}
