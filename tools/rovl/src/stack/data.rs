// SPDX-License-Identifier: GPL-2.0

//! The data of a file, wherever it is.

use super::{Node, Stack};
use crate::layer::{Entry, Error, Kind, Layer, Place, Result};
use crate::show::name;
use rustix::fd::OwnedFd;
use rustix::fs::{openat2, Mode, OFlags, ResolveFlags};
use rustix::io::Errno;
use std::fmt;
use std::fs::File;

/// A file of which stat(2) tells another size than who reads it finds: a mount shows both, and no file by itself
/// can.
#[derive(Debug)]
pub struct Misfit {
    path: Vec<u8>,
    size: u64,
    data: u64,
}

impl fmt::Display for Misfit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { path, size, data } = self;
        let path = name(path);
        write!(
            f,
            "{path}: it has {size} bytes, but its data in the layers below has {data}; a mount shows both, which no \
             file by itself can: rovl check -y gives it the size of the data"
        )
    }
}

impl std::error::Error for Misfit {}

impl Stack {
    /// What is wrong with the size of a regular file, if something is.
    pub fn misfit(&self, node: &Node) -> Result<Option<Misfit>> {
        if node.parts().len() == 1 && node.data_place().is_none() {
            return Ok(None);
        }
        let (size, data) = (node.stat().size, self.data_entry(node)?.stat().size);
        let path = node.entry().shown();
        Ok((size != data).then_some(Misfit { path, size, data }))
    }

    /// Opens the data of a regular file.
    ///
    /// The digest that it may have to have is not looked at.
    pub fn open_data(&self, node: &Node) -> Result<File> {
        if let Some(place) = node.data_place() {
            let (_, entry) = self.find_data(node, place)?;
            return entry.open_data();
        }
        match node.parts().last() {
            Some(part) => part.entry.open_data(),
            None => node.entry().open_data(),
        }
    }

    /// The object that has the data of a regular file.
    pub fn data_entry(&self, node: &Node) -> Result<Entry> {
        match (node.data_place(), node.parts().last()) {
            (Some(place), _) => self.find_data(node, place).map(|(_, entry)| entry),
            (None, Some(part)) => part.entry.try_clone(),
            (None, None) => node.entry().try_clone(),
        }
    }

    /// The number of the layer that has the data of a regular file.
    pub fn data_layer(&self, node: &Node) -> Result<usize> {
        match node.data_place() {
            Some(place) => self.find_data(node, place).map(|(layer, _)| layer),
            None => Ok(node.parts().last().map_or(0, |part| part.layer)),
        }
    }

    /// Looks for a file at `place` in each data-only layer, top-down.
    fn find_data(&self, node: &Node, place: &[u8]) -> Result<(usize, Entry)> {
        let mut last = Errno::NOENT;
        for (number, layer) in self.data.iter().enumerate() {
            match open_beneath(layer, place) {
                Ok(fd) => {
                    let shown = Place::of(place);
                    let entry = Entry::opened(layer, shown, fd)?;
                    if entry.kind() == Kind::File {
                        return Ok((self.merged.len().saturating_add(number), entry));
                    }
                    last = Errno::NOENT;
                }
                Err(errno) => last = errno,
            }
        }
        let what = "find its data in the data-only layers";
        Err(Error::system(&node.entry().shown(), what, last))
    }
}

/// Here the way may go through `.` and `..`, as long as it stays in the layer.
fn open_beneath(layer: &Layer, place: &[u8]) -> rustix::io::Result<OwnedFd> {
    let resolve = ResolveFlags::BENEATH
        | ResolveFlags::NO_SYMLINKS
        | ResolveFlags::NO_MAGICLINKS
        | ResolveFlags::NO_XDEV;
    let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let place = place.strip_prefix(b"/").unwrap_or(place);
    openat2(layer, place, flags, Mode::empty(), resolve)
}
