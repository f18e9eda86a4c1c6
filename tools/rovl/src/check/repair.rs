// SPDX-License-Identifier: GPL-2.0

//! Changes of layers: each is of one object, which is looked up without following anything, and has to
//! be the one that was found.

use crate::layer::{Entry, Error, Id, Kind, Layer, Place, Result, Time};
use ondisk::{whiteout, Name};
use rustix::fd::{AsFd, AsRawFd};
use rustix::fs::{
    makedev, mknodat, openat, removexattr, renameat_with, setxattr, unlinkat, utimensat, AtFlags,
    FileType, Mode, OFlags, RenameFlags, Timespec, Timestamps, XattrFlags, CWD,
};
use rustix::io::Errno;

/// An object that is changed.
#[derive(Clone, Debug)]
pub struct Target {
    layer: Layer,
    place: Place,
    id: Id,
}

/// One change.
#[derive(Clone, Debug)]
pub enum Step {
    /// Sets an attribute of the overlay.
    Set(Target, Name, Vec<u8>),
    /// Removes one.
    Unset(Target, Name),
    /// Removes the object, with all that is in it.
    Remove(Target),
    /// Makes a whiteout, where there is nothing, in a directory.
    Whiteout(Target, Vec<u8>),
    /// Gives it another name in its directory, one that nothing has.
    Rename(Target, Vec<u8>),
    /// Sets the length of a file.
    Resize(Target, u64),
}

impl Target {
    /// What `entry` is.
    pub fn of(entry: &Entry) -> Self {
        Self {
            layer: entry.layer().clone(),
            place: entry.place().clone(),
            id: entry.id(),
        }
    }

    /// Opens it again, if it is still what was found.
    fn open(&self) -> Result<Entry> {
        let entry = self.layer.at(&self.place)?;
        entry.filter(|entry| entry.id() == self.id).ok_or_else(|| {
            Error::system(
                &self.layer.shown(&self.place),
                "change it: it is not what was found",
                Errno::STALE,
            )
        })
    }

    /// Opens it, and the directory that it is in.
    fn open_with_parent(&self) -> Result<(Entry, Entry, &[u8])> {
        let place = self.place.parent().zip(self.place.name());
        let Some((parent, name)) = place else {
            let path = self.layer.shown(&self.place);
            return Err(Error::system(
                &path,
                "change the root of a layer",
                Errno::BUSY,
            ));
        };
        let entry = self.open()?;
        let parent = self.layer.at(parent)?;
        let parent = parent.ok_or_else(|| entry.error("find its directory", Errno::STALE))?;
        Ok((entry, parent, name))
    }
}

impl Step {
    /// Makes the change.
    pub fn apply(&self) -> Result<()> {
        match self {
            Self::Set(target, name, value) => {
                let entry = target.open()?;
                let (path, name) = attribute(&entry, *name);
                setxattr(path, name, value, XattrFlags::empty())
                    .map_err(|errno| entry.error("set its attribute", errno))
            }
            Self::Unset(target, name) => {
                let entry = target.open()?;
                let (path, name) = attribute(&entry, *name);
                match removexattr(path, name) {
                    Ok(()) | Err(Errno::NODATA) => Ok(()),
                    Err(errno) => Err(entry.error("remove its attribute", errno)),
                }
            }
            Self::Remove(target) => {
                let (entry, parent, name) = target.open_with_parent()?;
                keeping_times(&parent, || remove(&parent, entry, name))
            }
            Self::Whiteout(dir, name) => {
                let dir = dir.open()?;
                let mode = Mode::from_raw_mode(whiteout::MODE & 0o7777);
                let (kind, device) = (FileType::CharacterDevice, makedev(0, whiteout::DEV));
                keeping_times(&dir, || {
                    mknodat(&dir, name.as_slice(), kind, mode, device)
                        .map_err(|errno| dir.error("make a whiteout in it", errno))
                })
            }
            Self::Rename(target, to) => {
                let (entry, parent, name) = target.open_with_parent()?;
                let flags = RenameFlags::NOREPLACE;
                keeping_times(&parent, || {
                    renameat_with(&parent, name, &parent, to.as_slice(), flags)
                        .map_err(|errno| entry.error("rename it", errno))
                })
            }
            Self::Resize(target, size) => resize(&target.open()?, *size),
        }
    }
}

/// Changes what is in a directory, and gives it back the times that it had: they are shown.
fn keeping_times(dir: &Entry, change: impl FnOnce() -> Result<()>) -> Result<()> {
    let before = dir.stat_again()?;
    change()?;
    let time = |time: Time| Timespec {
        tv_sec: time.sec,
        tv_nsec: time.nsec.into(),
    };
    let times = Timestamps {
        last_access: time(before.atime),
        last_modification: time(before.mtime),
    };
    let path = format!("/proc/self/fd/{}", dir.as_fd().as_raw_fd());
    match utimensat(CWD, path, &times, AtFlags::empty()) {
        // Only its owner may.
        Ok(()) | Err(Errno::PERM) => Ok(()),
        Err(errno) => Err(dir.error("give it its times back", errno)),
    }
}

/// By which path and name an attribute is changed.
fn attribute(entry: &Entry, name: Name) -> (String, &'static std::ffi::CStr) {
    let path = format!("/proc/self/fd/{}", entry.as_fd().as_raw_fd());
    (path, name.full(entry.layer().namespace()))
}

/// Removes an object, and first all that is in it.
fn remove(parent: &Entry, entry: Entry, name: &[u8]) -> Result<()> {
    let failed = |entry: &Entry, errno| entry.error("remove it", errno);
    if entry.kind() == Kind::Dir {
        // From below, without recursion: what is in a directory goes before it.
        let mut walk = crate::layer::Walk::new(entry.try_clone()?);
        while let Some(visit) = walk.step()? {
            let (done, is_dir) = match &visit {
                crate::layer::Visit::Enter(object) => (object, false),
                crate::layer::Visit::Leave(object) => (object, true),
            };
            if done.id() == entry.id() || (done.kind() == Kind::Dir) != is_dir {
                continue;
            }
            let place = done.place();
            let dir = place
                .parent()
                .map(|dir| done.layer().at(dir))
                .transpose()?
                .flatten();
            let gone = dir
                .zip(place.name())
                .ok_or_else(|| failed(done, Errno::STALE))?;
            let flags = if is_dir {
                AtFlags::REMOVEDIR
            } else {
                AtFlags::empty()
            };
            unlinkat(&gone.0, gone.1, flags).map_err(|errno| failed(done, errno))?;
        }
    }
    let is_dir = entry.kind() == Kind::Dir;
    let flags = if is_dir {
        AtFlags::REMOVEDIR
    } else {
        AtFlags::empty()
    };
    unlinkat(parent, name, flags).map_err(|errno| failed(&entry, errno))
}

fn resize(entry: &Entry, size: u64) -> Result<()> {
    if entry.kind() != Kind::File {
        return Err(entry.error("set its length", Errno::INVAL));
    }
    let path = format!("/proc/self/fd/{}", entry.as_fd().as_raw_fd());
    let flags = OFlags::WRONLY | OFlags::CLOEXEC | OFlags::NONBLOCK;
    let file = openat(rustix::fs::CWD, path, flags, Mode::empty());
    file.and_then(|file| rustix::fs::ftruncate(file, size))
        .map_err(|errno| entry.error("set its length", errno))
}
