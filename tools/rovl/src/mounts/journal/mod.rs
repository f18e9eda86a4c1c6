// SPDX-License-Identifier: GPL-2.0

//! The journal of a stack: a file that says of which layers a mount is made, so that it can be mounted
//! again as it was. A change of the layers is written into it before it is asked for, and once more when it is done:
//! a crash in between leaves both, and what is on disk tells which it is.
//!
//! A mount that was made with one has its path as the source in the table of mounts.

mod file;
mod resume;
mod text;

pub use resume::Resumed;

use super::live::{self, Layer};
use super::overlay::{Overlay, Role};
use super::{Options, Request};
use crate::show::name;
use anyhow::{bail, ensure, Context, Result};
use file::{Locked, Spot};
use rustix::fd::OwnedFd;
use rustix::fs::{
    fstat, fstatfs, makedev, openat, openat2, FsWord, Mode, OFlags, ResolveFlags, CWD,
};
use rustix::mount::{unmount, UnmountFlags};
use std::ffi::OsStr;
use std::iter::repeat;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use text::{Change, Dir, Kind, Lower, Next, Stack, State};

/// `BTRFS_SUPER_MAGIC`
const BTRFS: FsWord = 0x9123_683e;

/// A journal.
#[derive(Debug)]
pub struct Journal {
    spot: Spot,
    /// Nobody else writes to it. A journal that is only read has none.
    locked: Option<Locked>,
    state: State,
}

/// A change of the layers.
#[derive(Clone, Copy, Debug)]
pub enum Step<'a> {
    /// The upper layer becomes a checkpoint of this name; a new upper and a work directory.
    Checkpoint(&'a Path, &'a Path, &'a str),
    /// What is above this layer goes; a new upper and a work directory.
    Rollback(&'a Path, &'a Path, &'a Layer),
    /// A layer of this name comes.
    Push(&'a Path, &'a str),
    /// A layer goes.
    Drop(&'a Layer),
}

impl Journal {
    /// That of a mount, to be changed: `given` by the user, who may also have said `none`, or else the one that it
    /// was mounted with. What the user names is made where it is not there.
    pub fn of(overlay: &Overlay, root: &OwnedFd, given: Option<&Path>) -> Result<Option<Self>> {
        if given == Some(Path::new("none")) {
            return Ok(None);
        }
        let Some(path) = given.map(Path::to_owned).or_else(|| source(overlay)) else {
            return Ok(None);
        };
        let spot = Spot::of(&path)?;
        let Some((locked, text)) = spot.lock()? else {
            ensure!(given.is_some(), missing(&path));
            return Self::create(spot, overlay, root).map(Some);
        };
        let mut journal = Self::parse(spot, &text)?;
        journal.locked = Some(locked);
        let layers = live::layers(root)?;
        ensure!(
            journal.is_of(&layers),
            "{} is the journal of other layers: name another one with --journal",
            name(&path)
        );
        Ok(Some(journal))
    }

    /// That of a mount, only to be read.
    pub fn to_read(overlay: &Overlay) -> Result<Option<Self>> {
        let Some(path) = source(overlay) else {
            return Ok(None);
        };
        let spot = Spot::of(&path)?;
        let text = spot.read()?.with_context(|| missing(&path))?;
        Self::parse(spot, &text).map(Some)
    }

    /// Mounts, and makes a journal of that, which must not be there yet. Returns what the kernel has to say.
    pub fn mount(path: &Path, request: &Request<'_>, options: &Options) -> Result<Vec<Vec<u8>>> {
        let spot = Spot::of(path)?;
        ensure!(
            spot.read()?.is_none(),
            "{} is there already",
            name(&spot.path)
        );
        let source = spot.path.clone();
        let request = Request {
            source: source.as_os_str().as_bytes(),
            ..*request
        };
        let log = super::mount(&request, options)?;
        let made = Overlay::at(request.target)
            .and_then(|overlay| Self::create(spot, &overlay, &live::root(&overlay)?));
        if let Err(error) = made {
            unmount(request.target, UnmountFlags::empty())?;
            return Err(error).context("it was unmounted again, since it has no journal");
        }
        Ok(log)
    }

    fn create(spot: Spot, overlay: &Overlay, root: &OwnedFd) -> Result<Self> {
        let stack = stack(&spot, None, overlay, root)?;
        let options = overlay.options.iter();
        let options = options.filter(|option| !option.default || option.name == "redirect_dir");
        let texts = options.map(|option| match option.value.as_slice() {
            b"" => option.name.clone().into_bytes(),
            value => [option.name.as_bytes(), b"=", value].concat(),
        });
        let options = texts.filter(|text| text::is_known(text));
        let mut journal = Self {
            spot,
            locked: None,
            state: State::new(options.map(Into::into).collect(), stack),
        };
        journal.save()?;
        Ok(journal)
    }

    fn parse(spot: Spot, text: &[u8]) -> Result<Self> {
        let state = State::parse(text);
        let state = state.with_context(|| format!("cannot use {}", name(&spot.path)))?;
        Ok(Self {
            spot,
            locked: None,
            state,
        })
    }

    fn save(&mut self) -> Result<()> {
        let mut text = serde_json::to_vec_pretty(&self.state)?;
        text.push(b'\n');
        self.spot.write(&mut self.locked, &text)
    }

    /// Whether the upper layer that it knows, or one that was to be, is one of these.
    fn is_of(&self, layers: &[Layer]) -> bool {
        let next = self.state.next.as_ref();
        let stacks = [Some(&self.state.stack), next.map(|next| &next.stack)];
        let mut uppers = stacks.into_iter().flatten().map(|stack| &stack.upper);
        uppers.any(|upper| layers.iter().any(|layer| layer.id.2 == upper.inode))
    }

    /// Writes down what is going to be asked for.
    pub fn begin(&mut self, overlay: &Overlay, root: &OwnedFd, step: Step<'_>) -> Result<()> {
        self.state.stack = stack(&self.spot, Some(&self.state), overlay, root)?;
        let next = self.after(step)?;
        self.state.next = Some(next);
        self.save()
    }

    /// What there is when it is done.
    fn after(&self, step: Step<'_>) -> Result<Next> {
        let mut stack = self.state.stack.clone();
        // The upper layer is at 0.
        let place = |layer: &Layer| layer.position.saturating_sub(1) as usize;
        let named = |called: &str| called.as_bytes().into();
        let change = match step {
            Step::Checkpoint(upper, work, called) => {
                let (kind, name) = (Kind::Checkpoint, named(called));
                let new = (self.spot.dir_at(upper)?, self.spot.dir_at(work)?);
                let dir = std::mem::replace(&mut stack.upper, new.0);
                stack.work = new.1;
                stack.lower.insert(0, Lower { kind, name, dir });
                Change::Checkpoint
            }
            Step::Rollback(upper, work, to) => {
                (stack.upper, stack.work) = (self.spot.dir_at(upper)?, self.spot.dir_at(work)?);
                stack.lower.drain(..place(to).min(stack.lower.len()));
                Change::Rollback
            }
            Step::Push(path, called) => {
                let (kind, name) = (Kind::Pushed, named(called));
                let dir = self.spot.dir_at(path)?;
                stack.lower.insert(0, Lower { kind, name, dir });
                Change::Push
            }
            Step::Drop(layer) => {
                if place(layer) < stack.lower.len() {
                    stack.lower.remove(place(layer));
                }
                Change::Drop
            }
        };
        Ok(Next { change, stack })
    }

    /// Writes down what there is after it was asked for, whatever came of it.
    pub fn settle(&mut self, overlay: &Overlay, root: &OwnedFd) -> Result<()> {
        self.state.stack = stack(&self.spot, Some(&self.state), overlay, root)?;
        self.state.next = None;
        self.save()
    }

    /// Gives layers, which the mount has, the names and kinds that are written here.
    pub fn name(&self, layers: &mut [Layer]) {
        let known = self.state.known(layers);
        for (layer, known) in layers.iter_mut().zip(known) {
            if let Some(known) = known.filter(|_| layer.kind == "lower") {
                layer.kind = known.kind.title();
                layer.name = known.name.clone();
            }
        }
    }
}

/// The journal that a mount was made with.
fn source(overlay: &Overlay) -> Option<PathBuf> {
    let path = Path::new(OsStr::from_bytes(&overlay.mount.source));
    path.is_absolute().then(|| path.to_owned())
}

fn missing(path: &Path) -> String {
    format!(
        "the mount has {} as its source, which is not there: name its journal with --journal, or none",
        name(path)
    )
}

/// What a mount is made of now. Paths are those that are known, if they lead there.
fn stack(spot: &Spot, known: Option<&State>, overlay: &Overlay, root: &OwnedFd) -> Result<Stack> {
    let layers = live::layers(root)?;
    let Some((upper, lower)) = layers.split_first().filter(|(top, _)| top.kind == "upper") else {
        bail!("a mount without an upper layer has no journal");
    };
    let known_lower = known.map_or(Vec::new(), |known| known.known(&layers));
    let known_lower = known_lower.into_iter().skip(1).chain(repeat(None));
    let one = |(layer, known): (&Layer, Option<&Lower>)| -> Result<Lower> {
        let (kind, name) = match (layer.kind, known) {
            ("checkpoint", _) => (Kind::Checkpoint, layer.name.clone()),
            ("pushed", _) => (Kind::Pushed, layer.name.clone()),
            (_, Some(known)) => (known.kind, known.name.clone()),
            (_, None) => (Kind::Lower, layer.name.clone()),
        };
        let dir = spot.dir_of(layer, known.map(|known| &known.dir))?;
        Ok(Lower { kind, name, dir })
    };
    let known_upper = known.and_then(|known| known.of_upper(upper));
    let upper = spot.dir_of(upper, known_upper.map(|stack| &stack.upper))?;
    let work = match known_upper.filter(|stack| stack.upper == upper) {
        Some(stack) => stack.work.clone(),
        None => {
            let shown = Overlay::at(&overlay.mount.point)?;
            let shown = shown.directory(Role::Work);
            spot.dir_at(
                &shown
                    .context("the table of mounts shows no work directory")?
                    .path,
            )?
        }
    };
    let lower = lower
        .iter()
        .zip(known_lower)
        .map(one)
        .collect::<Result<_>>()?;
    Ok(Stack { upper, work, lower })
}

impl State {
    fn stacks(&self) -> impl Iterator<Item = &Stack> {
        let next = self.next.as_ref().map(|next| &next.stack);
        next.into_iter().chain([&self.stack])
    }

    /// The stack with this upper layer.
    fn of_upper(&self, upper: &Layer) -> Option<&Stack> {
        self.stacks().find(|stack| stack.upper.inode == upper.id.2)
    }

    /// What is known of each of these layers. The lowest ones are those that stay.
    fn known(&self, layers: &[Layer]) -> Vec<Option<&Lower>> {
        let stack = layers.first().and_then(|upper| self.of_upper(upper));
        let lower = stack.unwrap_or(&self.stack).lower.iter().rev();
        let pairs = layers.iter().rev().zip(lower.map(Some).chain(repeat(None)));
        let is_it =
            |layer: &Layer, known: &Lower| layer.kind != "upper" && known.dir.inode == layer.id.2;
        let mut known: Vec<_> = pairs
            .map(|(layer, known)| known.filter(|known| is_it(layer, known)))
            .collect();
        known.reverse();
        known
    }
}

impl Kind {
    /// As `rovl list` shows it.
    fn title(self) -> &'static str {
        match self {
            Self::Lower => "lower",
            Self::Checkpoint => "checkpoint",
            Self::Pushed => "pushed",
        }
    }
}

impl Spot {
    /// The directory at `path`, as it is written down.
    fn dir_at(&self, path: &Path) -> Result<Dir> {
        let real = path.canonicalize();
        let real = real.with_context(|| format!("cannot find {}", name(path)))?;
        let inode = fstat(open_dir(&real)?)?.st_ino;
        let below = real.strip_prefix(self.parent());
        let below = below.ok().filter(|below| !below.as_os_str().is_empty());
        let path = below.unwrap_or(&real).as_os_str().as_bytes().into();
        Ok(Dir { path, inode })
    }

    /// The directory of a layer: where the mount says that it is, or where it was before, since the mount may
    /// have been made with relative paths.
    fn dir_of(&self, layer: &Layer, known: Option<&Dir>) -> Result<Dir> {
        let told = layer.path();
        if open_dir(&told).is_ok_and(|dir| is_layer(&dir, layer)) {
            return self.dir_at(&told);
        }
        let known =
            known.filter(|known| self.open_any(known).is_ok_and(|dir| is_layer(&dir, layer)));
        known.cloned().with_context(|| {
            format!(
                "{} does not lead to layer {} of the mount from here",
                name(&told),
                layer.position
            )
        })
    }

    /// Opens a directory, whichever has the path now. One below the journal leads nowhere else.
    fn open_any(&self, dir: &Dir) -> Result<OwnedFd> {
        let path = Path::new(OsStr::from_bytes(&dir.path.0));
        if path.is_absolute() {
            return open_dir(path);
        }
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let (mode, resolve) = (Mode::empty(), ResolveFlags::BENEATH);
        openat2(&self.dir, path, flags, mode, resolve)
            .with_context(|| format!("cannot open {}", name(&self.parent().join(path))))
    }
}

fn open_dir(path: &Path) -> Result<OwnedFd> {
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    openat(CWD, path, flags, Mode::empty()).with_context(|| format!("cannot open {}", name(path)))
}

/// Whether an open directory is that of a layer. On btrfs each subvolume shows a device number of its own.
fn is_layer(dir: &OwnedFd, layer: &Layer) -> bool {
    let (major, minor, inode) = layer.id;
    let Ok(stat) = fstat(dir) else {
        return false;
    };
    let is_btrfs = || fstatfs(dir).is_ok_and(|fs| fs.f_type == BTRFS);
    stat.st_ino == inode && (stat.st_dev == makedev(major, minor) || is_btrfs())
}
