// SPDX-License-Identifier: GPL-2.0

//! What is to be removed from an upper layer, directory by directory, those that are in others first.
//!
//! Each step by itself changes nothing of what is shown but the time of a directory, which is set back
//! in the end. Steps that were done before are done.

use super::attributes::{by_descriptor, set_times};
use super::steps::Steps;
use crate::layer::{Entry, Layer, Place, Result, Time};
use crate::show::Bytes;
use ondisk::Name;
use rustix::fs::{removexattr, unlinkat, AtFlags};
use rustix::io::Errno;
use serde::{Deserialize, Serialize};

/// Why something is of no use.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Reason {
    /// A whiteout with nothing below.
    Whiteout,
    /// A copy that is equal to what is below.
    Copy,
    /// A directory with nothing in it that is equal to the one below.
    Directory,
    /// A mark of a directory that nothing is below.
    Opaque,
    /// A mark of a directory in which nothing has an origin.
    Impure,
}

impl Reason {
    /// What it is called.
    pub fn text(self) -> &'static str {
        match self {
            Self::Whiteout => "whiteout with nothing below",
            Self::Copy => "equal to what is below",
            Self::Directory => "empty, and equal to the directory below",
            Self::Opaque => "opaque with nothing below",
            Self::Impure => "impure with no origin in it",
        }
    }

    /// The attribute that it is about, if it is not about an object.
    fn mark(self) -> Option<Name> {
        match self {
            Self::Opaque => Some(Name::Opaque),
            Self::Impure => Some(Name::Impure),
            Self::Whiteout | Self::Copy | Self::Directory => None,
        }
    }
}

/// What is to be removed in a directory.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Planned {
    /// The directory.
    pub directory: Bytes,
    inode: u64,
    atime: (i64, u32),
    mtime: (i64, u32),
    /// What is removed from it.
    pub objects: Vec<Object>,
    /// Its marks that are removed.
    pub marks: Vec<Reason>,
}

/// An object that is to be removed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Object {
    /// Its name in the directory.
    pub name: Bytes,
    inode: u64,
    /// Why.
    pub reason: Reason,
}

impl Object {
    /// `entry`, for that reason.
    pub(super) fn new(name: &[u8], entry: &Entry, reason: Reason) -> Self {
        Self {
            name: name.into(),
            inode: entry.id().ino,
            reason,
        }
    }
}

impl Planned {
    /// Objects and marks of the directory `entry`.
    pub(super) fn new(entry: &Entry, objects: Vec<Object>, marks: Vec<Reason>) -> Self {
        let stat = entry.stat();
        let time = |time: Time| (time.sec, time.nsec);
        Self {
            directory: entry.place().to_bytes().into(),
            inode: entry.id().ino,
            atime: time(stat.atime),
            mtime: time(stat.mtime),
            objects,
            marks,
        }
    }

    /// Removes it.
    pub(super) fn apply(&self, upper: &Layer, steps: &Steps) -> Result<()> {
        let place = Place::of(&self.directory.0);
        // It was removed itself by a run before.
        let Some(dir) = upper.at(&place)? else {
            return Ok(());
        };
        check(&dir, self.inode)?;
        for object in &self.objects {
            let name = object.name.0.as_slice();
            let Some(entry) = dir.child(name)? else {
                continue;
            };
            check(&entry, object.inode)?;
            let flags = match object.reason {
                Reason::Directory => AtFlags::REMOVEDIR,
                _ => AtFlags::empty(),
            };
            unlinkat(&dir, name, flags).map_err(|errno| entry.error("remove it", errno))?;
            steps.step();
        }
        for mark in self.marks.iter().filter_map(|reason| reason.mark()) {
            match removexattr(by_descriptor(&dir), mark.full(upper.namespace())) {
                Ok(()) | Err(Errno::NODATA) => steps.step(),
                Err(errno) => return Err(dir.error("remove its attribute", errno)),
            }
        }
        self.set_times(&dir)
    }

    /// Sets the times of the directory back, if it is still there.
    pub(super) fn set_back(&self, upper: &Layer) -> Result<()> {
        let dir = upper.at(&Place::of(&self.directory.0))?;
        match dir.filter(|dir| dir.id().ino == self.inode) {
            Some(dir) => self.set_times(&dir),
            None => Ok(()),
        }
    }

    fn set_times(&self, dir: &Entry) -> Result<()> {
        let time = |(sec, nsec)| Time { sec, nsec };
        set_times(dir, time(self.atime), time(self.mtime))
    }
}

/// Whether it is what was found.
fn check(entry: &Entry, inode: u64) -> Result<()> {
    if entry.id().ino == inode {
        return Ok(());
    }
    let what = "remove what is of no use: the layer was changed meanwhile; undo with --undo, and begin again";
    Err(entry.error(what, Errno::STALE))
}
