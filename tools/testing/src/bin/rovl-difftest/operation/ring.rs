// SPDX-License-Identifier: GPL-2.0
//! Operations through io_uring: another task does them if they would wait.

use std::os::fd::{AsRawFd, BorrowedFd};

use io_uring::squeue::Entry;
use io_uring::{opcode, types, IoUring};
use rovl_testing::{ops, uring};
use rustix::fs::{self, FileType, OFlags, SeekFrom};
use rustix::io::Errno;

use super::number;
use super::open::{describe, Aligned};
use crate::actor::{Actor, Outcome};
use crate::intended;

/// The operations of this module.
pub fn run(actor: &Actor, words: &[&str]) -> Option<Outcome> {
    match *words {
        ["ring-read", slot, offset, len] => {
            let (offset, len) = (place(offset)?, number(len)? as usize);
            Some(actor.fd(slot).and_then(|fd| read(fd, offset, len)))
        }
        ["ring-write", slot, offset, len, seed] => {
            let data = ops::pattern(number(len)? as usize, number(seed)?);
            let offset = place(offset)?;
            Some(actor.fd(slot).and_then(|fd| write(fd, offset, &data)))
        }
        ["ring-fsync", slot] => Some(actor.fd(slot).and_then(|fd| {
            let entry = opcode::Fsync::new(types::Fd(fd.as_raw_fd())).build();
            request(fd, &entry).map(|_| String::new())
        })),
        _ => None,
    }
}

/// An offset, or the present one of the open file.
fn place(text: &str) -> Option<u64> {
    match text {
        "cur" => Some(u64::MAX),
        _ => number(text),
    }
}

fn read(fd: BorrowedFd<'_>, offset: u64, len: usize) -> Outcome {
    let mut buffer = Aligned::new(len);
    let room = buffer.bytes();
    let len = u32::try_from(room.len()).map_err(|_| Errno::INVAL)?;
    let file = types::Fd(fd.as_raw_fd());
    let entry = opcode::Read::new(file, room.as_mut_ptr(), len);
    let n = request(fd, &entry.offset(offset).build())?;
    Ok(describe(&buffer.bytes()[..n]))
}

fn write(fd: BorrowedFd<'_>, offset: u64, data: &[u8]) -> Outcome {
    let mut buffer = Aligned::to_write(fd, data)?;
    let data = buffer.bytes();
    let len = u32::try_from(data.len()).map_err(|_| Errno::INVAL)?;
    let file = types::Fd(fd.as_raw_fd());
    let entry = opcode::Write::new(file, data.as_ptr(), len);
    request(fd, &entry.offset(offset).build()).map(|n| n.to_string())
}

/// Runs a request on a file or a directory. Other objects would wait for somebody. With `O_NONBLOCK`,
/// which all files here are opened with, it would depend on the page cache whether there is an answer.
fn request(fd: BorrowedFd<'_>, entry: &Entry) -> Result<usize, Errno> {
    let kind = FileType::from_raw_mode(fs::fstat(fd)?.st_mode);
    if !matches!(kind, FileType::RegularFile | FileType::Directory) {
        return Err(Errno::NOTSUP);
    }
    let mut ring = IoUring::new(2).map_err(|error| {
        error
            .raw_os_error()
            .map_or(Errno::IO, Errno::from_raw_os_error)
    })?;
    let flags = fs::fcntl_getfl(fd)?;
    let stood = fs::tell(fd).ok().filter(|_| !intended::moves_on(flags));
    fs::fcntl_setfl(fd, flags - OFlags::NONBLOCK)?;
    let result = uring::complete(&mut ring, entry);
    fs::fcntl_setfl(fd, flags)?;
    if let Some(stood) = stood {
        fs::seek(fd, SeekFrom::Start(stood))?;
    }
    usize::try_from(result).map_err(|_| Errno::from_raw_os_error(result.saturating_neg()))
}
