// SPDX-License-Identifier: GPL-2.0

//! Maps of sparse files. GNU tar has had four forms: in blocks after the header, in two ways in the
//! extended header, and in decimal before the data, which is the one that is written.

use super::extended::decimal;
use super::{Extent, BLOCK};

/// The most extents that a file may have: what a map takes in memory is bounded by it.
pub(super) const MAX_EXTENTS: usize = 1 << 20;

/// The map as it is before the data: the number of extents, then offset and length of each, a number a
/// line, up to a whole block.
pub(super) fn encode(map: &[Extent], size: u64) -> Vec<u8> {
    let mut extents = map.to_vec();
    let end = map
        .last()
        .map_or(0, |last| last.offset.saturating_add(last.len));
    if end < size {
        // GNU tar takes the end of the last extent for the end of the file.
        extents.push(Extent {
            offset: size,
            len: 0,
        });
    }
    let mut text = format!("{}\n", extents.len());
    for Extent { offset, len } in extents {
        text.push_str(&format!("{offset}\n{len}\n"));
    }
    let mut bytes = text.into_bytes();
    bytes.resize(bytes.len().next_multiple_of(BLOCK), 0);
    bytes
}

/// Reads numbers by lines as they come.
#[derive(Default)]
pub(super) struct Decoder {
    digits: Vec<u8>,
    count: Option<usize>,
    numbers: Vec<u64>,
}

impl Decoder {
    /// Takes the next block. Returns the map when it is complete.
    pub(super) fn block(&mut self, block: &[u8]) -> Result<Option<Vec<Extent>>, &'static str> {
        const WRONG: &str = "the map of a sparse file is damaged";
        for &byte in block {
            if byte != b'\n' {
                if self.digits.len() > 20 {
                    return Err(WRONG);
                }
                self.digits.push(byte);
                continue;
            }
            let number = decimal(&self.digits).ok_or(WRONG)?;
            self.digits.clear();
            match self.count {
                None => {
                    let count = usize::try_from(number).map_err(|_| WRONG)?;
                    self.count = Some(count);
                    if count > MAX_EXTENTS {
                        return Err("a sparse file has too many extents");
                    }
                }
                Some(_) => self.numbers.push(number),
            }
            if self
                .count
                .is_some_and(|count| self.numbers.len() == count.saturating_mul(2))
            {
                return Ok(Some(pairs(&self.numbers)));
            }
        }
        Ok(None)
    }
}

/// Extents of offsets and lengths in turn.
pub(super) fn pairs(numbers: &[u64]) -> Vec<Extent> {
    let pairs = numbers.chunks_exact(2);
    pairs
        .filter_map(|pair| match *pair {
            [offset, len] => Some(Extent { offset, len }),
            _ => None,
        })
        .collect()
}

/// Checks that the extents follow each other within the file, and are as long together as the data in the
/// archive. Returns them without empty ones.
pub(super) fn checked(
    map: Vec<Extent>,
    size: u64,
    stored: u64,
) -> Result<Vec<Extent>, &'static str> {
    let (mut end, mut sum) = (0u64, 0u64);
    for extent in &map {
        let next = extent.offset.checked_add(extent.len);
        let next = next.filter(|next| extent.offset >= end && *next <= size);
        end = next.ok_or("the map of a sparse file does not fit the file")?;
        sum = sum.saturating_add(extent.len);
    }
    if sum != stored {
        return Err("the map of a sparse file does not fit its data");
    }
    Ok(map.into_iter().filter(|extent| extent.len > 0).collect())
}
