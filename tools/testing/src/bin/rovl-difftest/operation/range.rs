// SPDX-License-Identifier: GPL-2.0
//! Operations on ranges of open files.

use std::os::fd::{AsRawFd, BorrowedFd};

use rustix::fs::{self, FallocateFlags, SeekFrom};
use rustix::io::Errno;

use super::{checked, done, number};
use crate::actor::{Actor, Outcome};
use crate::intended;

/// `FICLONERANGE`, `FIDEDUPERANGE` and `FS_IOC_FIEMAP` of linux/fs.h.
const FICLONERANGE: libc::c_ulong = 0x4020_940d;
const FIDEDUPERANGE: libc::c_ulong = 0xc018_9436;
const FS_IOC_FIEMAP: libc::c_ulong = 0xc020_660b;
/// Extents that a file of a test can have at most.
const EXTENTS: usize = 256;

/// The operations of this module.
pub fn run(actor: &Actor, words: &[&str]) -> Option<Outcome> {
    match *words {
        ["fallocate", slot, kind, offset, len] => {
            let mode = allocation(kind)?;
            let (offset, len) = (number(offset)?, number(len)?);
            Some(done(
                actor
                    .fd(slot)
                    .and_then(|fd| fs::fallocate(fd, mode, offset, len)),
            ))
        }
        ["lseek", slot, whence, offset] => {
            let offset = number(offset)?;
            let from = match whence {
                "set" => SeekFrom::Start(offset),
                "cur" => SeekFrom::Current(i64::try_from(offset).ok()?),
                "back" => SeekFrom::Current(-i64::try_from(offset).ok()?),
                "end" => SeekFrom::End(0),
                "data" => SeekFrom::Data(offset),
                "hole" => SeekFrom::Hole(offset),
                _ => return None,
            };
            let fd = actor.fd(slot);
            Some(fd.and_then(|fd| {
                let at = fs::seek(fd, from)?;
                Ok(intended::position(&fs::fstat(fd)?, at))
            }))
        }
        ["copy", from, from_offset, to, to_offset, len] => Some(copy(
            actor,
            (from, number(from_offset)?),
            (to, number(to_offset)?),
            number(len)? as usize,
        )),
        ["clone", from, to] => Some(actor.fd(from).and_then(|from| {
            let to = actor.fd(to)?;
            done(fs::ioctl_ficlone(to, from))
        })),
        ["clone", from, from_offset, to, to_offset, len] => Some(clone(
            actor,
            (from, number(from_offset)?),
            (to, number(to_offset)?),
            number(len)?,
        )),
        ["dedupe", from, from_offset, to, to_offset, len] => Some(dedupe(
            actor,
            (from, number(from_offset)?),
            (to, number(to_offset)?),
            number(len)?,
        )),
        ["fiemap", slot] => Some(actor.fd(slot).and_then(extents)),
        ["fsync", slot] => Some(done(actor.fd(slot).and_then(fs::fsync))),
        ["fdatasync", slot] => Some(done(actor.fd(slot).and_then(fs::fdatasync))),
        ["syncfs", slot] => Some(done(actor.fd(slot).and_then(fs::syncfs))),
        ["sync-range", slot] => Some(actor.fd(slot).and_then(|fd| {
            // SAFETY: the descriptor is open, and no memory takes part.
            let result = unsafe { libc::sync_file_range(fd.as_raw_fd(), 0, 0, 7) };
            checked(result.into()).map(|_| String::new())
        })),
        ["fadvise", slot, advice] => {
            let advice = advice.parse().ok()?;
            Some(actor.fd(slot).and_then(|fd| {
                // SAFETY: the descriptor is open, and no memory takes part.
                match unsafe { libc::posix_fadvise(fd.as_raw_fd(), 0, 0, advice) } {
                    0 => Ok(String::new()),
                    code => Err(Errno::from_raw_os_error(code)),
                }
            }))
        }
        ["readahead", slot] => Some(actor.fd(slot).and_then(|fd| {
            // SAFETY: the descriptor is open, and no memory takes part.
            let result = unsafe { libc::readahead(fd.as_raw_fd(), 0, 1 << 20) };
            checked(result as libc::c_long).map(|_| String::new())
        })),
        _ => None,
    }
}

fn allocation(kind: &str) -> Option<FallocateFlags> {
    let keep = FallocateFlags::KEEP_SIZE;
    Some(match kind {
        "alloc" => FallocateFlags::empty(),
        "keep" => keep,
        "punch" => FallocateFlags::PUNCH_HOLE | keep,
        "zero" => FallocateFlags::ZERO_RANGE,
        "zero-keep" => FallocateFlags::ZERO_RANGE | keep,
        "collapse" => FallocateFlags::COLLAPSE_RANGE,
        "insert" => FallocateFlags::INSERT_RANGE,
        "unshare" => FallocateFlags::UNSHARE_RANGE,
        _ => return None,
    })
}

fn copy(actor: &Actor, from: (&str, u64), to: (&str, u64), len: usize) -> Outcome {
    let (mut at, mut to_at) = (from.1, to.1);
    let (from, to) = (actor.fd(from.0)?, actor.fd(to.0)?);
    let copied = fs::copy_file_range(from, Some(&mut at), to, Some(&mut to_at), len)?;
    Ok(copied.to_string())
}

fn clone(actor: &Actor, from: (&str, u64), to: (&str, u64), len: u64) -> Outcome {
    #[repr(C)]
    struct Range {
        from: i64,
        offset: u64,
        len: u64,
        to_offset: u64,
    }
    let range = Range {
        from: actor.fd(from.0)?.as_raw_fd().into(),
        offset: from.1,
        len,
        to_offset: to.1,
    };
    let to = actor.fd(to.0)?.as_raw_fd();
    // SAFETY: the request reads a struct file_clone_range, which this is.
    checked(unsafe { libc::ioctl(to, FICLONERANGE, &raw const range) }.into())?;
    Ok(String::new())
}

fn dedupe(actor: &Actor, from: (&str, u64), to: (&str, u64), len: u64) -> Outcome {
    #[repr(C)]
    struct Request {
        offset: u64,
        len: u64,
        count: u16,
        reserved: [u16; 3],
        to: i64,
        to_offset: u64,
        deduped: u64,
        status: i32,
        reserved_too: u32,
    }
    let mut request = Request {
        offset: from.1,
        len,
        count: 1,
        reserved: [0; 3],
        to: actor.fd(to.0)?.as_raw_fd().into(),
        to_offset: to.1,
        deduped: 0,
        status: 0,
        reserved_too: 0,
    };
    let from = actor.fd(from.0)?.as_raw_fd();
    // SAFETY: the request reads and writes a struct file_dedupe_range with one target, which this is.
    checked(unsafe { libc::ioctl(from, FIDEDUPERANGE, &raw mut request) }.into())?;
    Ok(format!("{} status {}", request.deduped, request.status))
}

#[repr(C)]
#[derive(Clone, Copy)]
struct Extent {
    logical: u64,
    physical: u64,
    length: u64,
    reserved: [u64; 2],
    flags: u32,
    reserved_too: [u32; 3],
}

#[repr(C)]
struct Fiemap {
    start: u64,
    length: u64,
    flags: u32,
    mapped: u32,
    count: u32,
    reserved: u32,
    extents: [Extent; EXTENTS],
}

/// Ranges of the file that are mapped, whether they are unwritten or shared. Where the blocks are,
/// and into how many pieces a range falls, is up to the allocator.
fn extents(fd: BorrowedFd<'_>) -> Outcome {
    const SYNC: u32 = 1;
    const KEPT: u32 = 0x800;
    let none = Extent {
        logical: 0,
        physical: 0,
        length: 0,
        reserved: [0; 2],
        flags: 0,
        reserved_too: [0; 3],
    };
    let mut map = Fiemap {
        start: 0,
        length: u64::MAX,
        flags: SYNC,
        mapped: 0,
        count: EXTENTS as u32,
        reserved: 0,
        extents: [none; EXTENTS],
    };
    // SAFETY: the request fills in a struct fiemap with room for as many extents as it says.
    checked(unsafe { libc::ioctl(fd.as_raw_fd(), FS_IOC_FIEMAP, &raw mut map) }.into())?;
    let size = u64::try_from(fs::fstat(fd)?.st_size).unwrap_or(0);
    let mut ranges: Vec<(u64, u64, u32)> = Vec::new();
    for extent in map.extents.iter().take(map.mapped as usize) {
        // What is allocated in advance lies behind the end.
        let end = (extent.logical + extent.length).min(size);
        if extent.logical >= end {
            continue;
        }
        let flags = extent.flags & KEPT;
        match ranges.last_mut() {
            Some(last) if last.1 == extent.logical && last.2 == flags => last.1 = end,
            _ => ranges.push((extent.logical, end, flags)),
        }
    }
    Ok(format!("{ranges:x?}"))
}
