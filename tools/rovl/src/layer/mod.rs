// SPDX-License-Identifier: GPL-2.0

//! One layer: its directories and files as they are stored, with what the attributes of the overlay say
//! of each.
//!
//! Whoever made a layer may have meant harm. All access goes by descriptors, one name at a time, and no
//! symbolic link and no mount is crossed, so that nothing leads out of a layer, and a name is not
//! looked up twice. No path is handed to the kernel, so that trees may be deeper than `PATH_MAX`.

mod entry;
mod error;
mod fold;
mod handles;
mod levels;
mod list;
mod place;
mod stat;
mod walk;
mod xattr;

pub use entry::{Closed, Entry, Whiteout};
pub use error::{Cause, Error, Result};
pub use handles::{Decoded, Handles};
pub use levels::{Keep, Levels};
pub use list::Listed;
pub use place::Place;
pub use stat::{Id, Kind, Stat, Time};
pub use walk::{Visit, Walk};

use ondisk::Namespace;
use rustix::fs::{Mode, OFlags, CWD};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Where the kernel shows the descriptors of this process.
const DESCRIPTORS: &str = "/proc/self/fd";

/// The root of a layer, and what all that is opened in it has in common. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Layer(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    /// As it is shown.
    path: PathBuf,
    namespace: Namespace,
    fd: rustix::fd::OwnedFd,
}

impl Layer {
    /// Opens the directory `path`, whose overlay attributes are in `namespace`.
    ///
    /// `path` comes from the user, so symbolic links in it are followed.
    pub fn open(path: &Path, namespace: Namespace) -> Result<Self> {
        let fail = |what| move |errno| Error::system(path.as_os_str().as_bytes(), what, errno);
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let fd = rustix::fs::openat(CWD, path, flags, Mode::empty()).map_err(fail("open"))?;
        // Attributes of what cannot be opened are only had by it.
        rustix::fs::stat(DESCRIPTORS).map_err(|errno| {
            Error::system(
                DESCRIPTORS.as_bytes(),
                "use (/proc has to be mounted)",
                errno,
            )
        })?;
        Ok(Self::new(fd, path, namespace))
    }

    /// Makes a layer of a directory that is open; `path` is how it is shown.
    pub fn new(fd: rustix::fd::OwnedFd, path: &Path, namespace: Namespace) -> Self {
        Self(Arc::new(Inner {
            path: path.to_owned(),
            namespace,
            fd,
        }))
    }

    /// How the layer is shown.
    pub fn path(&self) -> &Path {
        &self.0.path
    }

    /// Where its overlay attributes are.
    pub fn namespace(&self) -> Namespace {
        self.0.namespace
    }

    /// The path of `place`, as it is shown in messages.
    pub fn shown(&self, place: &Place) -> Vec<u8> {
        let mut path = self.path().as_os_str().as_bytes().to_vec();
        if !place.is_root() {
            if path.last() != Some(&b'/') {
                path.push(b'/');
            }
            path.extend(place.to_bytes());
        }
        path
    }

    /// Opens the root.
    pub fn root(&self) -> Result<Entry> {
        Entry::root(self)
    }

    /// Opens what is at `place`, if there is something, a name at a time.
    pub fn at(&self, place: &Place) -> Result<Option<Entry>> {
        self.find(place.components())
    }

    /// Opens what is below the root at the end of `names`, if there is something.
    pub fn find<'a>(&self, names: impl IntoIterator<Item = &'a [u8]>) -> Result<Option<Entry>> {
        let mut entry = self.root()?;
        for name in names {
            if entry.kind() != Kind::Dir {
                return Ok(None);
            }
            match entry.child(name)? {
                Some(child) => entry = child,
                None => return Ok(None),
            }
        }
        Ok(Some(entry))
    }

    /// Goes through all that is in the layer, its root first.
    pub fn walk(&self) -> Result<Walk> {
        Ok(Walk::new(self.root()?))
    }

    /// Whether two layers are one directory.
    pub fn is_same(&self, other: &Self) -> Result<bool> {
        Ok(self.root()?.id() == other.root()?.id())
    }
}

impl rustix::fd::AsFd for Layer {
    fn as_fd(&self) -> rustix::fd::BorrowedFd<'_> {
        self.0.fd.as_fd()
    }
}

#[cfg(test)]
pub(crate) mod tests;
