// SPDX-License-Identifier: GPL-2.0

//! Which layers were there last, and the options of a mount of them.

use super::file::Spot;
use super::text::{option, Change, Dir, Next, Stack, OURS};
use super::Journal;
use crate::mounts::mountinfo::MountOption;
use crate::mounts::parameters::Module;
use crate::mounts::Setting;
use crate::show::name;
use anyhow::{ensure, Context, Result};
use rustix::fd::OwnedFd;
use rustix::fs::{fstat, openat, Mode, OFlags, RawDir};
use rustix::io::Errno;
use std::mem::MaybeUninit;
use std::path::{Path, PathBuf};

/// What is to be mounted again.
#[derive(Debug)]
pub struct Resumed {
    /// The whole path of the journal, which is the source of the mount.
    pub source: PathBuf,
    /// The layers.
    pub layers: Vec<Setting>,
    /// The options that say how they are read.
    pub options: Vec<MountOption>,
    /// Nobody changes the journal as long as this is there.
    _journal: Journal,
}

impl Journal {
    /// Opens the layers that there were last, for a mount of the type `kind`. What was begun is settled in the
    /// journal. There is none if there is no file. With `copied` the directories may be others with the same paths.
    pub fn resume(path: &Path, kind: &str, copied: bool) -> Result<Option<Resumed>> {
        let spot = Spot::of(path)?;
        let Some((locked, text)) = spot.lock()? else {
            return Ok(None);
        };
        let mut journal = Self::parse(spot, &text)?;
        journal.locked = Some(locked);
        if let Some(next) = journal.state.next.take() {
            if journal.spot.is_done(&next)? {
                journal.state.stack = next.stack;
            }
            journal.save()?;
        }
        let ours = Module::of(kind).is_ours();
        let texts = journal.state.options.iter().map(|text| option(&text.0));
        let options =
            texts.filter(|(key, _)| ours || !OURS.iter().any(|own| own.as_bytes() == *key));
        let options = options.map(|(key, value)| (key.to_vec(), value.map(<[u8]>::to_vec)));
        Ok(Some(Resumed {
            source: journal.spot.path.clone(),
            options: options.collect(),
            layers: journal.settings(copied)?,
            _journal: journal,
        }))
    }

    /// The layers as options.
    fn settings(&self, copied: bool) -> Result<Vec<Setting>> {
        let Stack { upper, work, lower } = &self.state.stack;
        let lower = lower.iter().map(|lower| ("lowerdir+", &lower.dir));
        let all = lower.chain([("upperdir", upper), ("workdir", work)]);
        let one = |(key, dir): (&str, &Dir)| -> Result<Setting> {
            let opened = self.spot.open_any(dir)?;
            let inode = fstat(&opened)?.st_ino;
            ensure!(
                copied || inode == dir.inode,
                "{} is another directory than in the journal, with the inode number {inode} and not {}: \
                 is its file system mounted? If these are copies, say -o journal=copied",
                name(&dir.path.0),
                dir.inode
            );
            Ok(Setting::Dir(key.into(), opened, dir.path.0.clone()))
        };
        all.map(one).collect()
    }
}

impl Spot {
    /// Whether a change that was begun has been made. Who gets a new upper layer writes to nothing else from then
    /// on, so that something is in it, or nothing was changed since. Layers that come or go leave no trace: they are
    /// as they were wanted, if they are there.
    fn is_done(&self, next: &Next) -> Result<bool> {
        let open = |dir| match self.open_any(dir) {
            Ok(dir) => Ok(Some(dir)),
            Err(error) if error.downcast_ref() == Some(&Errno::NOENT) => Ok(None),
            Err(error) => Err(error),
        };
        match next.change {
            Change::Checkpoint | Change::Rollback => match open(&next.stack.upper)? {
                Some(upper) => has_names(&upper).with_context(|| {
                    format!("cannot look into {}", name(&next.stack.upper.path.0))
                }),
                None => Ok(false),
            },
            Change::Push | Change::Drop => {
                let mut all = true;
                for dir in next.stack.dirs() {
                    all &= open(dir)?.is_some();
                }
                Ok(all)
            }
        }
    }
}

fn has_names(dir: &OwnedFd) -> Result<bool, Errno> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let dir = openat(dir, ".", flags, Mode::empty())?;
    let mut buffer = [MaybeUninit::uninit(); 4096];
    let mut entries = RawDir::new(dir, &mut buffer);
    while let Some(entry) = entries.next() {
        if !matches!(entry?.file_name().to_bytes(), b"." | b"..") {
            return Ok(true);
        }
    }
    Ok(false)
}
