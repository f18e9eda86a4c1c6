// SPDX-License-Identifier: GPL-2.0
//! What is done to a tree: single changes, each of which is seen wholly or not at all.

use std::os::fd::{AsRawFd, OwnedFd};
use std::path::{Path, PathBuf};

use rovl_testing::ops;
use rustix::fs::{self, AtFlags, OFlags, RenameFlags, CWD};
use rustix::io::Errno;
use rustix::mm::{mmap, munmap, MapFlags, ProtFlags};

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
    /// A file with so many bytes, new or as it is, that nobody syncs.
    Write(PathBuf, usize),
    /// So many bytes at the start of a file, through a mapping whose descriptor is closed, that nobody
    /// syncs.
    Map(PathBuf, usize),
    /// An unnamed file with so many bytes that gets a name, and that nobody syncs.
    Unnamed(PathBuf, usize),
    /// All of the mount is synced (`syncfs()`).
    Sync,
    /// The mount gets read-only, and writable again after that.
    Remount,
    /// The mount ends, and is made anew after that.
    Unmount,
    /// The upper layer becomes a checkpoint, which is called by the number of the operation.
    Checkpoint(usize),
    /// The operation of this number goes back to the checkpoint that another one made.
    Rollback(usize, usize),
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
            Self::Write(path, len) => {
                let file = open(&at(path), OFlags::CREATE | OFlags::RDWR | OFlags::TRUNC)?;
                write_all(&file, *len)
            }
            Self::Map(path, len) => map(&at(path), *len),
            Self::Unnamed(path, len) => unnamed(&at(path), *len),
            // The directory that stands for a mount is no mount.
            Self::Sync => fs::syncfs(open(root, OFlags::RDONLY)?),
            Self::Remount | Self::Unmount | Self::Checkpoint(..) | Self::Rollback(..) => Ok(()),
        }
    }

    /// Whether fsync has promised that it is there once it has ended, and all before it.
    pub fn is_durable(&self) -> bool {
        // The journal of the layers is written to the disk, and with it the names of before.
        matches!(self, Self::Replace(..)) || self.changes_layers() || self.syncs_all()
    }

    /// Whether it is about the layers of the mount.
    pub fn changes_layers(&self) -> bool {
        matches!(self, Self::Checkpoint(..) | Self::Rollback(..))
    }

    /// Whether it makes all durable that was done before.
    pub fn syncs_all(&self) -> bool {
        matches!(self, Self::Sync | Self::Remount | Self::Unmount)
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
    write_all(&file, len)?;
    fs::fsync(file)?;
    fs::rename(new, path)?;
    fs::fsync(open(dir, OFlags::RDONLY)?)
}

fn write_all(file: &OwnedFd, len: usize) -> Result<(), Errno> {
    let data = ops::pattern(len, len as u64);
    let mut done = 0;
    while done < data.len() {
        done += rustix::io::pwrite(file, &data[done..], done as u64)?;
    }
    Ok(())
}

fn map(path: &Path, len: usize) -> Result<(), Errno> {
    let file = open(path, OFlags::RDWR)?;
    let len = len.min(usize::try_from(fs::fstat(&file)?.st_size).unwrap_or(0));
    if len == 0 {
        return Err(Errno::INVAL);
    }
    let (prot, shared) = (ProtFlags::READ | ProtFlags::WRITE, MapFlags::SHARED);
    // SAFETY: the kernel picks an address that nothing else uses.
    let at = unsafe { mmap(std::ptr::null_mut(), len, prot, shared, &file, 0)? };
    drop(file);
    for (n, byte) in ops::pattern(len, len as u64 + 1).into_iter().enumerate() {
        // SAFETY: within the mapping, which was made for writing.
        unsafe { at.cast::<u8>().add(n).write_volatile(byte) };
    }
    // SAFETY: the mapping was made above, and nobody uses it any more.
    unsafe { munmap(at, len) }
}

fn unnamed(path: &Path, len: usize) -> Result<(), Errno> {
    let dir = path.parent().unwrap_or(path);
    let file = open(dir, OFlags::TMPFILE | OFlags::RDWR)?;
    write_all(&file, len)?;
    let by_number = format!("/proc/self/fd/{}", file.as_raw_fd());
    fs::linkat(CWD, by_number, CWD, path, AtFlags::SYMLINK_FOLLOW)
}
