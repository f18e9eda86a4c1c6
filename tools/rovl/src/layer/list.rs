// SPDX-License-Identifier: GPL-2.0

//! Listings of directories.

use super::{Entry, Kind, Result};
use rustix::fs::{Mode, OFlags, RawDir};

/// A name in a directory.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Listed {
    /// The name.
    pub name: Box<[u8]>,
    /// What the directory says of the type, which is [`Kind::Unknown`] if it says nothing.
    pub kind: Kind,
}

/// What is read in one go.
const BUFFER: usize = 1 << 15;

impl Entry {
    /// The names in this directory, sorted by their bytes.
    pub fn list(&self) -> Result<Vec<Listed>> {
        let mut listed = Vec::new();
        self.each_name(|name, kind| {
            listed.push(Listed {
                name: name.into(),
                kind,
            });
            true
        })?;
        listed.sort_unstable();
        // A directory that is being changed may give a name twice.
        listed.dedup_by(|a, b| a.name == b.name);
        Ok(listed)
    }

    /// Whether there is nothing in this directory.
    pub fn is_empty(&self) -> Result<bool> {
        let mut empty = true;
        self.each_name(|_, _| {
            empty = false;
            false
        })?;
        Ok(empty)
    }

    /// Calls `each` for the names as the file system gives them, until it returns `false`.
    pub fn each_name(&self, mut each: impl FnMut(&[u8], Kind) -> bool) -> Result<()> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let fd = rustix::fs::openat(self, ".", flags, Mode::empty())
            .map_err(|errno| self.error("list the directory", errno))?;
        let mut buffer = Vec::with_capacity(BUFFER);
        let mut dir = RawDir::new(fd, buffer.spare_capacity_mut());
        while let Some(entry) = dir.next() {
            let entry = entry.map_err(|errno| self.error("list the directory", errno))?;
            let name = entry.file_name().to_bytes();
            if !matches!(name, b"." | b"..") && !each(name, entry.file_type().into()) {
                break;
            }
        }
        Ok(())
    }
}
