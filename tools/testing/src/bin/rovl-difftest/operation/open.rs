// SPDX-License-Identifier: GPL-2.0
//! Operations that open files, and that read and write them.

use std::ffi::CString;
use std::os::fd::{AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;

use rovl_testing::ops;
use rustix::fs::{self, Mode, OFlags};
use rustix::io::{self, Errno};
use rustix::pipe;

use super::{checked, done, mode, number};
use crate::actor::{slot_number, Actor, Outcome, Slot};
use crate::{intended, snapshot};

/// Most bytes that are read from a file, because some devices never end.
const READ_MAX: usize = 1 << 20;
/// Buffers of direct I/O start at a multiple of this.
const ALIGN: usize = 4096;

/// The operations of this module.
pub fn run(actor: &mut Actor, words: &[&str]) -> Option<Outcome> {
    let data = |len: &str, seed: &str| Some(ops::pattern(number(len)? as usize, number(seed)?));
    match *words {
        ["open", slot, path, flag_words, bits] => {
            let slot = slot_number(slot)?;
            let opened = open(actor, path, flags(flag_words)?, mode(bits)?);
            Some(keep(actor, slot, opened))
        }
        ["tmpfile", slot, path, flag_words, bits] => {
            let slot = slot_number(slot)?;
            let flags = flags(flag_words)? | OFlags::TMPFILE;
            let opened = open(actor, path, flags, mode(bits)?);
            Some(keep(actor, slot, opened))
        }
        ["close", slot] => Some(match actor.slots[slot_number(slot)?].take() {
            Some(_) => Ok(String::new()),
            None => Err(Errno::BADF),
        }),
        ["dup", from, to] => {
            let copy = actor.fd(from).and_then(io::dup);
            Some(keep(actor, slot_number(to)?, copy))
        }
        ["put", path, len, seed] => {
            let flags = OFlags::CREATE | OFlags::TRUNC | OFlags::WRONLY;
            let opened = open(actor, path, flags, ops::mode(0o644));
            let data = data(len, seed)?;
            Some(opened.and_then(|fd| write_all(&fd, &data)))
        }
        ["read", path] => {
            let opened = open(actor, path, OFlags::RDONLY, Mode::empty());
            Some(opened.and_then(|fd| read_all(&fd)))
        }
        ["truncate", path, size] => Some(truncate(actor, path, number(size)?)),
        ["fread", slot, len] => Some(actor.fd(slot).and_then(|fd| {
            let mut buffer = Aligned::new(number(len).unwrap_or(0) as usize);
            let n = io::read(fd, buffer.bytes())?;
            Ok(describe(&buffer.bytes()[..n]))
        })),
        ["fwrite", slot, len, seed] => {
            let data = data(len, seed)?;
            Some(actor.fd(slot).and_then(|fd| {
                let mut data = Aligned::to_write(fd, &data)?;
                Ok(io::write(fd, data.bytes())?.to_string())
            }))
        }
        ["pread", slot, offset, len] => {
            let (offset, len) = (number(offset)?, number(len)? as usize);
            Some(actor.fd(slot).and_then(|fd| {
                let mut buffer = Aligned::new(len);
                let n = io::pread(fd, buffer.bytes(), offset)?;
                Ok(describe(&buffer.bytes()[..n]))
            }))
        }
        ["pwrite", slot, offset, len, seed] => {
            let data = data(len, seed)?;
            let offset = number(offset)?;
            Some(actor.fd(slot).and_then(|fd| {
                let mut data = Aligned::to_write(fd, &data)?;
                Ok(io::pwrite(fd, data.bytes(), offset)?.to_string())
            }))
        }
        ["setfl", slot, flag_words] => {
            let flags = flags(flag_words)?;
            Some(done(
                actor.fd(slot).and_then(|fd| fs::fcntl_setfl(fd, flags)),
            ))
        }
        ["splice", from, to, len] => Some(splice(actor, from, to, number(len)? as usize)),
        ["sendfile", from, to, len] => Some(sendfile(actor, from, to, number(len)? as usize)),
        _ => None,
    }
}

/// Flags of open(2), as words with commas between them.
pub(super) fn flags(words: &str) -> Option<OFlags> {
    words.split(',').try_fold(OFlags::empty(), |flags, word| {
        let flag = match word {
            "r" => OFlags::RDONLY,
            "w" => OFlags::WRONLY,
            "rw" => OFlags::RDWR,
            "creat" => OFlags::CREATE,
            "excl" => OFlags::EXCL,
            "trunc" => OFlags::TRUNC,
            "append" => OFlags::APPEND,
            "direct" => OFlags::DIRECT,
            "sync" => OFlags::SYNC,
            "dsync" => OFlags::DSYNC,
            "noatime" => OFlags::NOATIME,
            "nofollow" => OFlags::NOFOLLOW,
            "dir" => OFlags::DIRECTORY,
            "path" => OFlags::PATH,
            _ => return None,
        };
        Some(flags | flag)
    })
}

/// Opens without waiting for the other end of a FIFO.
pub(super) fn open(actor: &Actor, path: &str, flags: OFlags, bits: Mode) -> Result<OwnedFd, Errno> {
    let flags = flags | OFlags::CLOEXEC | OFlags::NONBLOCK;
    if path.starts_with('@') && !path.contains('/') {
        return fs::open(actor.path(path)?, flags, bits);
    }
    let (dir, path, _) = actor.place(path)?;
    fs::openat(dir, path, flags, bits)
}

/// What was in the slot is closed after the new file was opened, as dup2(2) does.
pub(super) fn keep(actor: &mut Actor, slot: usize, opened: Result<OwnedFd, Errno>) -> Outcome {
    actor.slots[slot] = Some(Slot {
        fd: opened?,
        names: Default::default(),
    });
    Ok(String::new())
}

/// Memory that direct I/O takes.
pub(super) struct Aligned {
    memory: Vec<u8>,
    start: usize,
}

impl Aligned {
    pub(super) fn new(len: usize) -> Self {
        let memory = vec![0u8; len.min(READ_MAX) + ALIGN];
        let start = memory.as_ptr().align_offset(ALIGN);
        Self { memory, start }
    }

    /// With as much of `data` as is written to `fd` at a time.
    pub(super) fn to_write(fd: BorrowedFd<'_>, data: &[u8]) -> Result<Self, Errno> {
        let len = intended::write_length(fs::fcntl_getfl(fd)?, data.len());
        Ok(Self::from(&data[..len]))
    }

    fn from(data: &[u8]) -> Self {
        let mut buffer = Self::new(data.len());
        buffer
            .bytes()
            .copy_from_slice(&data[..data.len().min(READ_MAX)]);
        buffer
    }

    pub(super) fn bytes(&mut self) -> &mut [u8] {
        let len = self.memory.len() - ALIGN;
        &mut self.memory[self.start..self.start + len]
    }
}

/// Length and digest of bytes that were read.
pub(super) fn describe(data: &[u8]) -> String {
    format!("{} {:016x}", data.len(), snapshot::digest(data))
}

/// Writes all of `data`.
pub(super) fn write_all(fd: &OwnedFd, data: &[u8]) -> Outcome {
    let mut written = 0;
    while written < data.len() {
        written += io::write(fd, &data[written..])?;
    }
    Ok(String::new())
}

/// Length and digest of what is read from here to the end.
pub(super) fn read_all(fd: &OwnedFd) -> Outcome {
    let mut data = Vec::new();
    let mut chunk = [0u8; 65536];
    while data.len() < READ_MAX {
        match io::read(fd, &mut chunk)? {
            0 => break,
            n => data.extend_from_slice(&chunk[..n]),
        }
    }
    Ok(describe(&data))
}

fn truncate(actor: &Actor, path: &str, size: u64) -> Outcome {
    if path.starts_with('@') && !path.contains('/') {
        return done(fs::ftruncate(actor.fd(path)?, size));
    }
    let path = actor.path(path)?;
    let path = CString::new(path.as_os_str().as_bytes()).map_err(|_| Errno::INVAL)?;
    let size = i64::try_from(size).map_err(|_| Errno::FBIG)?;
    // SAFETY: the path is a C string that outlives the call.
    checked(unsafe { libc::truncate(path.as_ptr(), size) }.into()).map(|_| String::new())
}

/// From one open file to another through a pipe.
fn splice(actor: &Actor, from: &str, to: &str, len: usize) -> Outcome {
    let (from, to) = (actor.fd(from)?, actor.fd(to)?);
    let (out, into) = pipe::pipe_with(pipe::PipeFlags::CLOEXEC | pipe::PipeFlags::NONBLOCK)?;
    let flags = pipe::SpliceFlags::NONBLOCK;
    let read = pipe::splice(from, None, &into, None, len, flags)?;
    let mut written = 0;
    while written < read {
        match pipe::splice(&out, None, to, None, read - written, flags)? {
            0 => break,
            n => written += n,
        }
    }
    Ok(format!("{read} {written}"))
}

fn sendfile(actor: &Actor, from: &str, to: &str, len: usize) -> Outcome {
    let (from, to): (BorrowedFd<'_>, BorrowedFd<'_>) = (actor.fd(from)?, actor.fd(to)?);
    // SAFETY: both descriptors are open, and no memory of ours takes part.
    let sent =
        unsafe { libc::sendfile(to.as_raw_fd(), from.as_raw_fd(), std::ptr::null_mut(), len) };
    checked(sent as libc::c_long).map(|sent| sent.to_string())
}
