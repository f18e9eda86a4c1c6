// SPDX-License-Identifier: GPL-2.0
//! What is done to a tree: single changes, each of which is seen wholly or not at all.

use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use rovl_testing::ops;
use rustix::fs::{self, AtFlags, OFlags, RenameFlags, CWD};
use rustix::io::Errno;

/// Names that start so are a program's own files on the way to a new content; nobody looks at them.
pub const UNFINISHED: &str = ".new";
/// How much of a file is written again.
const REWRITTEN: usize = 5000;

/// A change of a tree.
#[derive(Debug, Clone)]
pub enum Operation {
    /// Permission bits.
    Chmod(PathBuf, u32),
    /// Owner and group; of a symbolic link its own.
    Chown(PathBuf, u32),
    /// Opened for writing and closed.
    Open(PathBuf),
    /// The bytes that are there written once more.
    Rewrite(PathBuf),
    /// Opened with O_TRUNC.
    Truncate(PathBuf),
    /// An extended attribute of so many bytes.
    Attribute(PathBuf, usize),
    /// A new file with so many bytes, synced, moved to this name, and the directory synced: durable.
    Replace(PathBuf, usize),
    /// A name moved.
    Rename(PathBuf, PathBuf),
    /// Two names that change places.
    Exchange(PathBuf, PathBuf),
    /// A second name.
    Link(PathBuf, PathBuf),
    /// A name removed.
    Unlink(PathBuf),
    /// A directory removed.
    Rmdir(PathBuf),
    /// A directory made.
    Mkdir(PathBuf),
    /// A symbolic link made.
    Symlink(PathBuf),
}

impl Operation {
    /// Does it below `root`.
    pub fn apply(&self, root: &Path) -> Result<(), Errno> {
        let at = |path: &Path| root.join(path);
        match self {
            Self::Chmod(path, bits) => fs::chmod(at(path), ops::mode(*bits)),
            Self::Chown(path, id) => {
                let (user, group) = (fs::Uid::from_raw(*id), fs::Gid::from_raw(*id));
                let flags = AtFlags::SYMLINK_NOFOLLOW;
                fs::chownat(CWD, at(path), Some(user), Some(group), flags)
            }
            Self::Open(path) => open(&at(path), OFlags::RDWR).map(drop),
            Self::Rewrite(path) => {
                let file = open(&at(path), OFlags::RDWR)?;
                let mut data = [0u8; REWRITTEN];
                let len = rustix::io::pread(&file, &mut data, 0)?;
                rustix::io::pwrite(&file, &data[..len], 0).map(drop)
            }
            Self::Truncate(path) => open(&at(path), OFlags::WRONLY | OFlags::TRUNC).map(drop),
            Self::Attribute(path, len) => {
                ops::setxattr(at(path), "user.long", ops::pattern(*len, 3))
            }
            Self::Replace(path, len) => replace(&at(path), *len),
            Self::Rename(from, to) => fs::rename(at(from), at(to)),
            Self::Exchange(from, to) => {
                fs::renameat_with(CWD, at(from), CWD, at(to), RenameFlags::EXCHANGE)
            }
            Self::Link(from, to) => fs::linkat(CWD, at(from), CWD, at(to), AtFlags::empty()),
            Self::Unlink(path) => fs::unlink(at(path)),
            Self::Rmdir(path) => fs::rmdir(at(path)),
            Self::Mkdir(path) => fs::mkdir(at(path), ops::mode(0o755)),
            Self::Symlink(path) => fs::symlink("target", at(path)),
        }
    }

    /// Whether fsync has promised that it is there once it has ended, and all before it.
    pub fn is_durable(&self) -> bool {
        matches!(self, Self::Replace(..))
    }
}

fn open(path: &Path, flags: OFlags) -> Result<OwnedFd, Errno> {
    fs::open(path, flags | OFlags::CLOEXEC, ops::mode(0o644))
}

/// What a careful program does to give a file a new content.
fn replace(path: &Path, len: usize) -> Result<(), Errno> {
    let dir = path.parent().unwrap_or(path);
    let new = dir.join(UNFINISHED);
    let file = open(&new, OFlags::CREATE | OFlags::RDWR | OFlags::TRUNC)?;
    let data = ops::pattern(len, len as u64);
    let mut done = 0;
    while done < data.len() {
        done += rustix::io::pwrite(&file, &data[done..], done as u64)?;
    }
    fs::fsync(file)?;
    fs::rename(new, path)?;
    fs::fsync(open(dir, OFlags::RDONLY)?)
}
