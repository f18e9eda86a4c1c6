// SPDX-License-Identifier: GPL-2.0
//! Directories read entry by entry, with inode numbers, types and offsets.

use std::mem::MaybeUninit;
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;

use rustix::fs::{seek, FileType, OFlags, RawDir, SeekFrom};
use rustix::io::Errno;

use crate::ops::{self, ok};

/// An entry of a directory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Name.
    pub name: String,
    /// Inode number.
    pub ino: u64,
    /// Type.
    pub kind: FileType,
    /// Offset of the next entry.
    pub next: u64,
}

/// Opens a directory.
#[track_caller]
pub fn open(path: impl AsRef<Path>) -> OwnedFd {
    ops::open(path, OFlags::RDONLY | OFlags::DIRECTORY)
}

/// Entries from the present position, with a buffer of `size` bytes for each call.
pub fn try_read(dir: impl AsFd, size: usize) -> Result<Vec<Entry>, Errno> {
    let mut buffer = vec![MaybeUninit::uninit(); size];
    let mut raw = RawDir::new(dir, &mut buffer);
    let mut entries = Vec::new();
    while let Some(entry) = raw.next() {
        let entry = entry?;
        entries.push(Entry {
            name: entry.file_name().to_string_lossy().into_owned(),
            ino: entry.ino(),
            kind: entry.file_type(),
            next: entry.next_entry_cookie(),
        });
    }
    Ok(entries)
}

/// Entries of `path`, with `.` and `..`.
#[track_caller]
pub fn read(path: impl AsRef<Path>) -> Vec<Entry> {
    ok(try_read(open(path), 32768))
}

/// Entries that the next call of `getdents64` gives with a buffer of `size` bytes.
#[track_caller]
pub fn read_some(dir: impl AsFd, size: usize) -> Vec<Entry> {
    let mut buffer = vec![MaybeUninit::uninit(); size];
    let mut raw = RawDir::new(dir, &mut buffer);
    let mut entries = Vec::new();
    loop {
        if !entries.is_empty() && raw.is_buffer_empty() {
            return entries;
        }
        let Some(entry) = raw.next() else {
            return entries;
        };
        let entry = ok(entry);
        entries.push(Entry {
            name: entry.file_name().to_string_lossy().into_owned(),
            ino: entry.ino(),
            kind: entry.file_type(),
            next: entry.next_entry_cookie(),
        });
    }
}

/// Sets the position of an open directory.
#[track_caller]
pub fn seek_to(dir: impl AsFd, offset: u64) {
    ok(seek(dir, SeekFrom::Start(offset)));
}

/// Names of entries, in their order.
pub fn names(entries: &[Entry]) -> Vec<&str> {
    entries.iter().map(|entry| entry.name.as_str()).collect()
}
