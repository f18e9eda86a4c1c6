// SPDX-License-Identifier: GPL-2.0
//! The log that the kernel's `dm-log-writes` makes of the writes to a device, and the disks that a
//! cut within it leaves.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;

use fastrand::Rng;

/// What became of the writes that were not followed by a flush.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unflushed {
    /// All reached the disk: its cache had power, only the machine was killed.
    Kept,
    /// None did.
    Lost,
    /// Some did, in any order, and of some only some sectors.
    Some,
}

const SECTOR: usize = 512;
const PAGE: usize = 4096;
const MAGIC: u64 = 0x6a_7366_7773_6872;
const FLUSH: u64 = 1;
const FUA: u64 = 2;
const DISCARD: u64 = 4;
const MARK: u64 = 8;

/// An entry of the log. A write is logged when it is complete, and one that is not forced to the
/// disk not before the flush after it; a mark at once. So what comes after the last flush before a
/// mark may be there or not at the time of the mark.
#[derive(Debug)]
struct Entry {
    /// First sector on the disk.
    sector: u64,
    flags: u64,
    /// Where its data is in the log.
    data: u64,
    len: usize,
    mark: Option<String>,
}

/// A log with the disk before it.
pub struct Log {
    file: File,
    entries: Vec<Entry>,
    /// The disk with all that is flushed before `played`.
    disk: Vec<u8>,
    /// Which of its pages are not empty.
    used: Vec<bool>,
    played: usize,
}

fn word(bytes: &[u8], number: usize) -> u64 {
    let mut word = [0u8; 8];
    if let Some(part) = bytes.get(number * 8..number * 8 + 8) {
        word.copy_from_slice(part);
    }
    u64::from_le_bytes(word)
}

fn usize_of(number: u64) -> usize {
    usize::try_from(number).unwrap_or(usize::MAX)
}

impl Log {
    /// Reads a log, and the disk before the first entry of it.
    pub fn read(log: &Path, disk: Vec<u8>) -> io::Result<Self> {
        let file = File::open(log)?;
        let mut header = [0u8; SECTOR];
        file.read_exact_at(&mut header, 0)?;
        if word(&header, 0) != MAGIC {
            return Err(io::Error::other("not a log of writes"));
        }
        let count = usize_of(word(&header, 2));
        let mut entries = Vec::with_capacity(count);
        let mut at = SECTOR as u64;
        for _ in 0..count {
            file.read_exact_at(&mut header, at)?;
            at += SECTOR as u64;
            let flags = word(&header, 2);
            let text = &header[32..];
            let len = usize_of(word(&header, 3)).min(text.len());
            let has_data = flags & (DISCARD | MARK) == 0;
            let bytes = usize_of(word(&header, 1)) * SECTOR;
            entries.push(Entry {
                sector: word(&header, 0),
                flags,
                data: at,
                len: bytes,
                mark: (flags & MARK != 0)
                    .then(|| String::from_utf8_lossy(&text[..len]).into_owned()),
            });
            at += if has_data { bytes as u64 } else { 0 };
        }
        let is_used = |page: &[u8]| page.iter().any(|byte| *byte != 0);
        let used = disk.chunks(PAGE).map(is_used).collect();
        Ok(Self {
            file,
            entries,
            disk,
            used,
            played: 0,
        })
    }

    /// Number of entries.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Number of flushes.
    pub fn flushes(&self) -> usize {
        let flushes = self.entries.iter();
        flushes.filter(|entry| entry.flags & FLUSH != 0).count()
    }

    /// The marks before the entry `at`.
    pub fn marks(&self, at: usize) -> impl Iterator<Item = &str> {
        let entries = self.entries.iter().take(at);
        entries.filter_map(|entry| entry.mark.as_deref())
    }

    /// Where a mark is.
    pub fn place_of(&self, mark: &str) -> Option<usize> {
        let mut entries = self.entries.iter();
        entries.position(|entry| entry.mark.as_deref() == Some(mark))
    }

    /// Makes `target` the disk that a cut before the entry `at` leaves, and counts the writes that
    /// are lost. The cuts have to come in the order of their places.
    pub fn cut(
        &mut self,
        at: usize,
        unflushed: Unflushed,
        rng: &mut Rng,
        target: &Path,
    ) -> io::Result<usize> {
        let before = self.entries.get(..at).unwrap_or(&self.entries);
        let flushed = before
            .iter()
            .rposition(|entry| entry.flags & FLUSH != 0)
            .map_or(0, |last| last + 1);
        while self.played < flushed {
            self.play(self.played)?;
            self.played += 1;
        }
        let target = File::options()
            .write(true)
            .create(true)
            .truncate(true)
            .open(target)?;
        target.set_len(self.disk.len() as u64)?;
        for (number, (page, used)) in self.disk.chunks(PAGE).zip(&self.used).enumerate() {
            if *used {
                target.write_all_at(page, (number * PAGE) as u64)?;
            }
        }
        let mut lost = 0;
        for entry in self.entries.get(self.played..at).unwrap_or_default() {
            let keep = entry.flags & FUA != 0
                || match unflushed {
                    Unflushed::Kept => true,
                    Unflushed::Lost => false,
                    Unflushed::Some => rng.bool(),
                };
            let torn = unflushed == Unflushed::Some && entry.flags & FUA == 0 && rng.u8(..4) == 0;
            let data = self.data(entry)?;
            lost += usize::from(!keep && !data.is_empty());
            if !keep {
                continue;
            }
            let part = if torn { SECTOR } else { data.len().max(1) };
            for (number, piece) in data.chunks(part).enumerate() {
                if !torn || rng.bool() {
                    let at = entry.sector * SECTOR as u64 + (number * part) as u64;
                    target.write_all_at(piece, at)?;
                }
            }
        }
        Ok(lost)
    }

    fn data(&self, entry: &Entry) -> io::Result<Vec<u8>> {
        let mut data = vec![0u8; if entry.mark.is_some() { 0 } else { entry.len }];
        if entry.flags & DISCARD == 0 {
            self.file.read_exact_at(&mut data, entry.data)?;
        }
        Ok(data)
    }

    /// Brings an entry to the disk.
    fn play(&mut self, number: usize) -> io::Result<()> {
        let entry = &self.entries[number];
        let data = self.data(entry)?;
        let start = usize_of(entry.sector) * SECTOR;
        let end = start + data.len();
        match self.disk.get_mut(start..end) {
            Some(part) => part.copy_from_slice(&data),
            None => return Err(io::Error::other("a write behind the end of the disk")),
        }
        if !data.is_empty() {
            self.used[start / PAGE..=(end - 1) / PAGE].fill(true);
        }
        Ok(())
    }
}
