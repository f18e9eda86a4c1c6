// SPDX-License-Identifier: GPL-2.0
//! Operations on mappings of files.

use std::os::fd::{AsRawFd, BorrowedFd, OwnedFd};

use rovl_testing::ops;
use rustix::fs;
use rustix::io::{self, Errno};
use rustix::pipe;

use super::{checked, number};
use crate::actor::{slot_number, Actor, Map, Outcome};
use crate::snapshot;

/// Bytes that go through a pipe at once.
const PIECE: usize = 4096;

/// The operations of this module.
pub fn run(actor: &mut Actor, words: &[&str]) -> Option<Outcome> {
    match *words {
        ["mmap", index, slot, kind, len] => {
            let index = slot_number(index)?;
            let len = number(len)? as usize;
            let (protection, flags) = match kind {
                "r-shared" => (libc::PROT_READ, libc::MAP_SHARED),
                "rw-shared" => (libc::PROT_READ | libc::PROT_WRITE, libc::MAP_SHARED),
                "r-private" => (libc::PROT_READ, libc::MAP_PRIVATE),
                "rw-private" => (libc::PROT_READ | libc::PROT_WRITE, libc::MAP_PRIVATE),
                _ => return None,
            };
            let map = actor
                .fd(slot)
                .and_then(|fd| map(fd, len, protection, flags));
            Some(map.map(|map| {
                actor.maps[index] = Some(map);
                String::new()
            }))
        }
        ["munmap", index] => Some(match actor.maps[slot_number(index)?].take() {
            Some(_) => Ok(String::new()),
            None => Err(Errno::FAULT),
        }),
        ["mread", index, offset, len] => {
            let range = range(actor, index, number(offset)?, number(len)?);
            Some(range.and_then(|(address, len)| read(address, len)))
        }
        ["mwrite", index, offset, len, seed] => {
            let range = range(actor, index, number(offset)?, number(len)?);
            let seed = number(seed)?;
            Some(range.and_then(|(address, len)| write(address, &ops::pattern(len, seed))))
        }
        ["msync", index] => {
            let number = slot_number(index)?;
            let map = actor.maps[number].as_ref().ok_or(Errno::FAULT);
            Some(map.and_then(|map| {
                let address = map.address as *mut libc::c_void;
                // SAFETY: the range is that of a mapping that is there.
                let result = unsafe { libc::msync(address, map.length, libc::MS_SYNC) };
                checked(result.into()).map(|_| String::new())
            }))
        }
        _ => None,
    }
}

fn map(fd: BorrowedFd<'_>, length: usize, protection: i32, flags: i32) -> Result<Map, Errno> {
    let at = std::ptr::null_mut();
    // SAFETY: a new mapping, at a place that the kernel chooses.
    let address = unsafe { libc::mmap(at, length, protection, flags, fd.as_raw_fd(), 0) };
    if address == libc::MAP_FAILED {
        let code = std::io::Error::last_os_error().raw_os_error();
        return Err(code.map_or(Errno::IO, Errno::from_raw_os_error));
    }
    Ok(Map {
        address: address as usize,
        length,
        file: io::dup(fd)?,
    })
}

/// Address and length of a part of a mapping. The rest of the last page of a file is left alone: what
/// is there stays until it is written back.
fn range(actor: &Actor, index: &str, offset: u64, len: u64) -> Result<(usize, usize), Errno> {
    let number = slot_number(index).ok_or(Errno::FAULT)?;
    let map = actor.maps[number].as_ref().ok_or(Errno::FAULT)?;
    let size = usize::try_from(fs::fstat(&map.file)?.st_size).unwrap_or(0);
    let (mut offset, mut len) = (offset as usize, len as usize);
    if offset < size {
        len = len.min(size - offset);
    } else {
        offset = offset.max(size.next_multiple_of(PIECE));
    }
    let offset = offset.min(map.length);
    Ok((map.address + offset, len.min(map.length - offset)))
}

/// The kernel copies through a pipe, so that a page that is not there is an error and no signal.
fn through() -> Result<(OwnedFd, OwnedFd), Errno> {
    pipe::pipe_with(pipe::PipeFlags::CLOEXEC | pipe::PipeFlags::NONBLOCK)
}

fn read(address: usize, len: usize) -> Outcome {
    let (out, into) = through()?;
    let mut data = Vec::new();
    let mut piece = [0u8; PIECE];
    while data.len() < len {
        let at = (address + data.len()) as *const libc::c_void;
        let count = PIECE.min(len - data.len());
        // SAFETY: the range is within a mapping; the kernel checks each page of it.
        let n = checked(unsafe { libc::write(into.as_raw_fd(), at, count) } as libc::c_long)?;
        let mut left = n as usize;
        while left > 0 {
            let n = io::read(&out, &mut piece[..left])?;
            data.extend_from_slice(&piece[..n]);
            left -= n;
        }
    }
    Ok(format!("{} {:016x}", data.len(), snapshot::digest(&data)))
}

fn write(address: usize, data: &[u8]) -> Outcome {
    let (out, into) = through()?;
    let mut written = 0;
    while written < data.len() {
        let count = PIECE.min(data.len() - written);
        let given = io::write(&into, &data[written..written + count])?;
        let at = (address + written) as *mut libc::c_void;
        // SAFETY: the range is within a mapping of which nothing in this program holds a reference.
        let n = checked(unsafe { libc::read(out.as_raw_fd(), at, given) } as libc::c_long)?;
        written += n as usize;
        if (n as usize) < given {
            return Err(Errno::FAULT);
        }
    }
    Ok(written.to_string())
}
