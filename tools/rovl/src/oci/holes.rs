// SPDX-License-Identifier: GPL-2.0

//! Files with holes: where they have data, and reading that.

use super::tar::Extent;
use rustix::fs::{seek, SeekFrom};
use rustix::io::Errno;
use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::FileExt;

/// What holes have to save together before they are worth a map.
const WORTH: u64 = 1 << 16;

/// Where a file of `size` bytes has data, if it has holes that are worth it.
pub(super) fn map(file: &File, size: u64) -> io::Result<Option<Vec<Extent>>> {
    let mut map = Vec::new();
    let (mut at, mut data) = (0u64, 0u64);
    while at < size {
        let start = match seek(file, SeekFrom::Data(at)) {
            Ok(start) => start.min(size),
            // There is only a hole up to the end.
            Err(Errno::NXIO) => break,
            // The file system knows of no holes.
            Err(Errno::INVAL) => return Ok(None),
            Err(errno) => return Err(errno.into()),
        };
        let end = seek(file, SeekFrom::Hole(start)).unwrap_or(size).min(size);
        // Where the file is being changed it may go backwards.
        let Some(len) = end.checked_sub(start).filter(|_| start >= at) else {
            return Ok(None);
        };
        if len > 0 {
            map.push(Extent { offset: start, len });
        }
        data = data.saturating_add(len);
        at = end.max(at.saturating_add(1));
    }
    Ok((size.saturating_sub(data) >= WORTH).then_some(map))
}

/// Reads the extents of a file, one after the other.
pub(super) struct Pieces<'a> {
    file: &'a File,
    /// Those that are left, the next one last.
    left: Vec<Extent>,
    /// How the file is shown in an error.
    shown: String,
}

impl<'a> Pieces<'a> {
    /// All of a file of `size` bytes, or what `map` has.
    pub(super) fn new(file: &'a File, map: Option<&[Extent]>, size: u64, shown: String) -> Self {
        let mut left = match map {
            Some(map) => map.to_vec(),
            None => vec![Extent {
                offset: 0,
                len: size,
            }],
        };
        left.reverse();
        Self { file, left, shown }
    }
}

impl Read for Pieces<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while let Some(extent) = self.left.last_mut() {
            if extent.len == 0 {
                self.left.pop();
                continue;
            }
            let want =
                usize::try_from(extent.len).map_or(buffer.len(), |len| len.min(buffer.len()));
            let room = buffer.get_mut(..want).unwrap_or_default();
            let len = self.file.read_at(room, extent.offset).map_err(|error| {
                io::Error::new(
                    error.kind(),
                    format!("{}: cannot read: {error}", self.shown),
                )
            })?;
            extent.offset = extent.offset.saturating_add(len as u64);
            extent.len = extent.len.saturating_sub(len as u64);
            return Ok(len);
        }
        Ok(0)
    }
}
