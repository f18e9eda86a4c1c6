// SPDX-License-Identifier: GPL-2.0
//! File operations that a test takes for granted, and the errno of those that it expects to fail.

use std::collections::BTreeSet;
use std::fmt::Display;
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;

use rustix::fs::{self, AtFlags, FileType, IFlags, Mode, OFlags, Stat, CWD};
use rustix::io::Errno;

/// Value of a step that has to succeed.
#[track_caller]
pub fn ok<T, E: Display>(result: Result<T, E>) -> T {
    match result {
        Ok(value) => value,
        Err(error) => panic!("a step that has to succeed failed: {error}"),
    }
}

/// Errno of a step that has to fail.
#[track_caller]
pub fn errno<T>(result: Result<T, Errno>) -> Errno {
    match result {
        Ok(_) => panic!("a step that has to fail succeeded"),
        Err(error) => error,
    }
}

/// Permission bits.
pub fn mode(bits: u32) -> Mode {
    Mode::from_raw_mode(bits)
}

/// Opens `path` with `flags`.
#[track_caller]
pub fn open(path: impl AsRef<Path>, flags: OFlags) -> OwnedFd {
    let path = path.as_ref();
    match fs::open(path, flags | OFlags::CLOEXEC, mode(0o644)) {
        Ok(fd) => fd,
        Err(error) => panic!("open {}: {error}", path.display()),
    }
}

/// Opens `path` for reading.
#[track_caller]
pub fn open_read(path: impl AsRef<Path>) -> OwnedFd {
    open(path, OFlags::RDONLY)
}

/// Opens `path` for reading and writing.
#[track_caller]
pub fn open_write(path: impl AsRef<Path>) -> OwnedFd {
    open(path, OFlags::RDWR)
}

/// Whole content of a file.
#[track_caller]
pub fn read(path: impl AsRef<Path>) -> Vec<u8> {
    let path = path.as_ref();
    match std::fs::read(path) {
        Ok(data) => data,
        Err(error) => panic!("read {}: {error}", path.display()),
    }
}

/// Content of an open file from its first byte, whatever its position.
#[track_caller]
pub fn read_fd(fd: impl AsFd) -> Vec<u8> {
    let mut data = Vec::new();
    let mut chunk = [0u8; 65536];
    loop {
        let n = ok(rustix::io::pread(&fd, &mut chunk, data.len() as u64));
        if n == 0 {
            return data;
        }
        data.extend_from_slice(&chunk[..n]);
    }
}

/// Writes all of `data` at `offset`.
#[track_caller]
pub fn write_at(fd: impl AsFd, data: &[u8], offset: u64) {
    let mut done = 0;
    while done < data.len() {
        done += ok(rustix::io::pwrite(&fd, &data[done..], offset + done as u64));
    }
}

/// Replaces the content of `path`, which is made if it does not exist.
#[track_caller]
pub fn write(path: impl AsRef<Path>, data: impl AsRef<[u8]>) {
    let path = path.as_ref();
    if let Err(error) = std::fs::write(path, data) {
        panic!("write {}: {error}", path.display());
    }
}

/// Attributes of `path` itself (a symbolic link is not followed).
#[track_caller]
pub fn stat(path: impl AsRef<Path>) -> Stat {
    let path = path.as_ref();
    match fs::lstat(path) {
        Ok(stat) => stat,
        Err(error) => panic!("stat {}: {error}", path.display()),
    }
}

/// Whether a lookup of `path` finds something; any failure but ENOENT is a failure of the test.
#[track_caller]
pub fn exists(path: impl AsRef<Path>) -> bool {
    let path = path.as_ref();
    match fs::lstat(path) {
        Ok(_) => true,
        Err(Errno::NOENT) => false,
        Err(error) => panic!("stat {}: {error}", path.display()),
    }
}

/// Permission bits of `path`, with setuid, setgid and sticky.
#[track_caller]
pub fn perm(path: impl AsRef<Path>) -> u32 {
    stat(path).st_mode & 0o7777
}

/// Whether `path` is a character device 0:0.
#[track_caller]
pub fn is_whiteout(path: impl AsRef<Path>) -> bool {
    let path = path.as_ref();
    exists(path) && {
        let s = stat(path);
        FileType::from_raw_mode(s.st_mode) == FileType::CharacterDevice && s.st_rdev == 0
    }
}

/// Names in a directory.
#[track_caller]
pub fn names(path: impl AsRef<Path>) -> BTreeSet<String> {
    let path = path.as_ref();
    let entries = match std::fs::read_dir(path) {
        Ok(entries) => entries,
        Err(error) => panic!("read_dir {}: {error}", path.display()),
    };
    entries
        .map(|entry| ok(entry).file_name().to_string_lossy().into_owned())
        .collect()
}

/// A set of names, for comparison with [`names`].
pub fn set(names: &[&str]) -> BTreeSet<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}

/// Makes a directory with mode 755.
#[track_caller]
pub fn mkdir(path: impl AsRef<Path>) {
    let path = path.as_ref();
    if let Err(error) = fs::mkdir(path, mode(0o755)) {
        panic!("mkdir {}: {error}", path.display());
    }
}

/// Removes a file.
#[track_caller]
pub fn unlink(path: impl AsRef<Path>) {
    let path = path.as_ref();
    if let Err(error) = fs::unlink(path) {
        panic!("unlink {}: {error}", path.display());
    }
}

/// Removes a directory.
#[track_caller]
pub fn rmdir(path: impl AsRef<Path>) {
    let path = path.as_ref();
    if let Err(error) = fs::rmdir(path) {
        panic!("rmdir {}: {error}", path.display());
    }
}

/// Renames.
#[track_caller]
pub fn rename(from: impl AsRef<Path>, to: impl AsRef<Path>) {
    let (from, to) = (from.as_ref(), to.as_ref());
    if let Err(error) = fs::rename(from, to) {
        panic!("rename {} to {}: {error}", from.display(), to.display());
    }
}

/// Makes a hard link.
#[track_caller]
pub fn link(from: impl AsRef<Path>, to: impl AsRef<Path>) {
    let (from, to) = (from.as_ref(), to.as_ref());
    if let Err(error) = fs::link(from, to) {
        panic!("link {} to {}: {error}", from.display(), to.display());
    }
}

/// Changes the permission bits.
#[track_caller]
pub fn chmod(path: impl AsRef<Path>, bits: u32) {
    let path = path.as_ref();
    if let Err(error) = fs::chmod(path, mode(bits)) {
        panic!("chmod {}: {error}", path.display());
    }
}

/// Changes owner and group of `path` itself.
#[track_caller]
pub fn chown(path: impl AsRef<Path>, uid: u32, gid: u32) {
    let path = path.as_ref();
    let uid = Some(fs::Uid::from_raw(uid));
    let gid = Some(fs::Gid::from_raw(gid));
    if let Err(error) = fs::chownat(CWD, path, uid, gid, AtFlags::SYMLINK_NOFOLLOW) {
        panic!("chown {}: {error}", path.display());
    }
}

/// Sets access and modification time of `path` itself to whole seconds.
#[track_caller]
pub fn utimes(path: impl AsRef<Path>, atime: i64, mtime: i64) {
    let path = path.as_ref();
    let at = |tv_sec| fs::Timespec { tv_sec, tv_nsec: 0 };
    let times = fs::Timestamps {
        last_access: at(atime),
        last_modification: at(mtime),
    };
    if let Err(error) = fs::utimensat(CWD, path, &times, AtFlags::SYMLINK_NOFOLLOW) {
        panic!("utimensat {}: {error}", path.display());
    }
}

/// `mknod(2)`.
pub fn mknod(path: impl AsRef<Path>, kind: FileType, bits: u32, dev: u64) -> Result<(), Errno> {
    fs::mknodat(CWD, path.as_ref(), kind, mode(bits), dev)
}

/// A value of an extended attribute of `path` itself.
pub fn getxattr(path: impl AsRef<Path>, name: &str) -> Result<Vec<u8>, Errno> {
    let mut value = vec![0u8; 65536];
    let n = fs::lgetxattr(path.as_ref(), name, &mut value[..])?;
    value.truncate(n);
    Ok(value)
}

/// Sets an extended attribute of `path` itself.
pub fn setxattr(path: impl AsRef<Path>, name: &str, value: impl AsRef<[u8]>) -> Result<(), Errno> {
    fs::lsetxattr(path.as_ref(), name, value.as_ref(), fs::XattrFlags::empty())
}

/// Names of the extended attributes of `path` itself.
pub fn listxattr(path: impl AsRef<Path>) -> Result<BTreeSet<String>, Errno> {
    let mut list = vec![0u8; 65536];
    let n = fs::llistxattr(path.as_ref(), &mut list[..])?;
    Ok(list[..n]
        .split(|byte| *byte == 0)
        .filter(|name| !name.is_empty())
        .map(|name| String::from_utf8_lossy(name).into_owned())
        .collect())
}

/// Sets the file attributes of `chattr` that the tests are about, and leaves the others: a file
/// system keeps the layout of the file there too.
pub fn set_file_flags(path: impl AsRef<Path>, flags: IFlags) -> Result<(), Errno> {
    let ours = IFlags::IMMUTABLE | IFlags::APPEND | IFlags::NOATIME | IFlags::SYNC;
    let file = open_read(path);
    let others = fs::ioctl_getflags(&file)? - ours;
    fs::ioctl_setflags(&file, others | flags)
}

/// Bytes that differ from block to block, so that a block at a wrong place is seen.
pub fn pattern(len: usize, seed: u64) -> Vec<u8> {
    const BLOCK: usize = 4096;
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut block = Vec::with_capacity(BLOCK);
    while block.len() < BLOCK {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        block.extend_from_slice(&state.to_le_bytes());
    }
    let mut data = Vec::with_capacity(len + BLOCK);
    while data.len() < len {
        let number = (data.len() / BLOCK) as u64;
        data.extend_from_slice(&number.to_le_bytes());
        data.extend_from_slice(&block[8..]);
    }
    data.truncate(len);
    data
}

/// Whether two byte strings are equal, without printing megabytes when they are not.
#[track_caller]
pub fn assert_same_bytes(seen: &[u8], expected: &[u8]) {
    assert_eq!(seen.len(), expected.len(), "length of the content");
    if seen == expected {
        return;
    }
    if let Some(at) = seen.iter().zip(expected).position(|(a, b)| a != b) {
        panic!("content differs first at byte {at}");
    }
}
