// SPDX-License-Identifier: GPL-2.0

//! Making objects in a new tree, one at a time.

use super::attributes::by_descriptor;
use super::data;
use crate::layer::{Entry, Kind, Result};
use ondisk::whiteout;
use rustix::fs::{
    linkat, makedev, mkdirat, mknodat, openat, symlinkat, unlinkat, AtFlags, FileType, Mode,
    OFlags, CWD,
};
use rustix::io::Errno;
use std::fs::File;

/// Until all is there, nobody else has to look.
const FILE: Mode = Mode::from_raw_mode(0o600);
const DIR: Mode = Mode::from_raw_mode(0o700);

/// Opens what was just made.
fn made(dir: &Entry, name: &[u8]) -> Result<Entry> {
    let made = dir.child(name)?;
    made.ok_or_else(|| dir.error("find what was just made in it", Errno::STALE))
}

/// Makes a directory, or takes the one that is there.
pub(super) fn directory(dir: &Entry, name: &[u8]) -> Result<Entry> {
    match mkdirat(dir, name, DIR) {
        Ok(()) | Err(Errno::EXIST) => {}
        Err(errno) => return Err(dir.error("make a directory in it", errno)),
    }
    let entry = made(dir, name)?;
    match entry.kind() {
        Kind::Dir => Ok(entry),
        _ => Err(entry.error("use it as a directory", Errno::NOTDIR)),
    }
}

/// Makes a file with the content of `data`. Returns how much was copied, too.
pub(super) fn file(dir: &Entry, name: &[u8], data: &File) -> Result<(Entry, u64)> {
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let file = openat(dir, name, flags, FILE)
        .map(File::from)
        .map_err(|errno| dir.error("make a file in it", errno))?;
    let entry = made(dir, name)?;
    let copied = data::copy(data, &file).map_err(|errno| entry.error("copy its content", errno))?;
    Ok((entry, copied))
}

/// Makes what has no content of its own: a symbolic link, a device, a pipe, a socket.
pub(super) fn special(dir: &Entry, name: &[u8], from: &Entry) -> Result<Entry> {
    let stat = from.stat();
    let device = makedev(stat.rdev.0, stat.rdev.1);
    let (kind, device) = match from.kind() {
        Kind::Symlink => {
            symlinkat(from.read_link()?, dir, name)
                .map_err(|errno| dir.error("make a symbolic link in it", errno))?;
            return made(dir, name);
        }
        Kind::CharDevice => (FileType::CharacterDevice, device),
        Kind::BlockDevice => (FileType::BlockDevice, device),
        Kind::Fifo => (FileType::Fifo, 0),
        Kind::Socket => (FileType::Socket, 0),
        Kind::Dir | Kind::File | Kind::Unknown => {
            return Err(from.error("make such an object", Errno::INVAL));
        }
    };
    mknodat(dir, name, kind, FILE, device)
        .map_err(|errno| from.error("make such an object", errno))?;
    made(dir, name)
}

/// Makes a whiteout, unless there is one.
pub(super) fn whiteout(dir: &Entry, name: &[u8]) -> Result<()> {
    let mode = Mode::from_raw_mode(whiteout::MODE & 0o7777);
    let device = makedev(0, whiteout::DEV);
    match mknodat(dir, name, FileType::CharacterDevice, mode, device) {
        Ok(()) | Err(Errno::EXIST) => Ok(()),
        Err(errno) => Err(dir.error("make a whiteout in it", errno)),
    }
}

/// Gives what is open one more name. Returns whether the file system does that.
pub(super) fn link(dir: &Entry, name: &[u8], from: &Entry) -> Result<bool> {
    match linkat(CWD, by_descriptor(from), dir, name, AtFlags::SYMLINK_FOLLOW) {
        Ok(()) => Ok(true),
        Err(Errno::XDEV | Errno::MLINK | Errno::PERM | Errno::OPNOTSUPP) => Ok(false),
        Err(errno) => Err(from.error("give it one more name", errno)),
    }
}

/// Removes what an interrupted run left at a name, if it is not a directory.
pub(super) fn clear(dir: &Entry, name: &[u8]) -> Result<()> {
    match unlinkat(dir, name, AtFlags::empty()) {
        Ok(()) | Err(Errno::NOENT) => Ok(()),
        Err(errno) => Err(dir.error("remove what was left in it", errno)),
    }
}
