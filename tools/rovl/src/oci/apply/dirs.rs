// SPDX-License-Identifier: GPL-2.0

//! Directories of a new layer by their paths. The last one and those above it stay open, because members
//! of an archive that follow each other are mostly near each other.

use crate::layer::Place;
use rustix::fd::{AsFd, BorrowedFd, OwnedFd};
use rustix::fs::{mkdirat, openat2, Mode, OFlags, ResolveFlags};
use rustix::io::Errno;

/// How many are kept open.
const KEPT_OPEN: usize = 200;

/// The directories of a new layer.
#[derive(Debug)]
pub(super) struct Dirs {
    root: OwnedFd,
    /// Those on the way to the last one that was asked for. Far ones are closed.
    way: Vec<Step>,
}

#[derive(Debug)]
struct Step {
    place: Place,
    fd: Option<OwnedFd>,
}

/// Opens a directory in a directory, without following a link.
fn open(dir: impl AsFd, name: &[u8]) -> rustix::io::Result<OwnedFd> {
    let resolve = ResolveFlags::BENEATH
        | ResolveFlags::NO_SYMLINKS
        | ResolveFlags::NO_MAGICLINKS
        | ResolveFlags::NO_XDEV;
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    openat2(dir, name, flags, Mode::empty(), resolve)
}

impl Dirs {
    pub(super) fn new(root: OwnedFd) -> Self {
        Self {
            root,
            way: Vec::new(),
        }
    }

    pub(super) fn root(&self) -> BorrowedFd<'_> {
        self.root.as_fd()
    }

    /// Opens the directory with the path `names`; directories on the way that are not there are made if
    /// `make`. `ENOTDIR` and `ELOOP` say that something else is in the way.
    pub(super) fn open(
        &mut self,
        names: &[&[u8]],
        make: bool,
    ) -> rustix::io::Result<(BorrowedFd<'_>, Place)> {
        let same = self.way.iter().zip(names);
        let same = same
            .take_while(|(step, name)| step.place.name() == Some(*name))
            .count();
        self.way.truncate(same);
        // The last one that is left has to be open.
        if self.way.last().is_some_and(|step| step.fd.is_none()) {
            self.way.clear();
        }
        for name in names.iter().skip(self.way.len()) {
            let (dir, place) = self.last();
            let place = place.child(name);
            let fd = match open(dir, name) {
                Err(Errno::NOENT) if make => {
                    mkdirat(dir, *name, Mode::from_raw_mode(0o755))?;
                    open(dir, name)?
                }
                opened => opened?,
            };
            let far = self.way.len().checked_sub(KEPT_OPEN);
            if let Some(step) = far.and_then(|far| self.way.get_mut(far)) {
                step.fd = None;
            }
            self.way.push(Step {
                place,
                fd: Some(fd),
            });
        }
        Ok(self.last())
    }

    /// The last directory that was opened.
    fn last(&self) -> (BorrowedFd<'_>, Place) {
        match self.way.last() {
            Some(Step {
                place,
                fd: Some(fd),
            }) => (fd.as_fd(), place.clone()),
            _ => (self.root.as_fd(), Place::ROOT),
        }
    }
}
