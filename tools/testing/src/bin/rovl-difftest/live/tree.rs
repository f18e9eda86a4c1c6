// SPDX-License-Identifier: GPL-2.0
//! The plain tree: what is in it, copies of it, and how it becomes another one in its place.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::path::{Path, PathBuf};

use rustix::fs::{self, AtFlags, FileType, Gid, Mode, Stat, Timespec, Timestamps, Uid, CWD};
use rustix::io::Errno;

use crate::intended;
use crate::snapshot::{self, Snapshot, View};

/// An object of the plain tree.
#[derive(Debug, Clone, Copy)]
pub struct Node {
    /// Its number, see [`key`].
    pub ino: u64,
    /// Its type.
    pub kind: FileType,
    /// How many names it has.
    pub links: u64,
}

/// What is in a tree, by the paths; its root has the empty path.
pub type Nodes = BTreeMap<PathBuf, Node>;

/// A number for an object that none on the other file systems has.
pub fn key(stat: &Stat) -> u64 {
    (stat.st_dev << 40) ^ stat.st_ino
}

fn kind(stat: &Stat) -> FileType {
    FileType::from_raw_mode(stat.st_mode)
}

/// All objects below `root` that are on its file system.
pub fn nodes(root: &Path) -> Nodes {
    let mut nodes = Nodes::new();
    let device = fs::lstat(root).map_or(0, |stat| stat.st_dev);
    walk(root, Path::new(""), device, &mut nodes);
    nodes
}

fn walk(root: &Path, relative: &Path, device: u64, nodes: &mut Nodes) {
    let path = root.join(relative);
    let Ok(stat) = fs::lstat(&path) else { return };
    if stat.st_dev != device {
        return;
    }
    let node = Node {
        ino: key(&stat),
        kind: kind(&stat),
        links: stat.st_nlink,
    };
    nodes.insert(relative.to_owned(), node);
    if node.kind == FileType::Directory {
        for name in names(&path) {
            walk(root, &relative.join(name), device, nodes);
        }
    }
}

fn names(dir: &Path) -> BTreeSet<OsString> {
    let entries = std::fs::read_dir(dir).into_iter().flatten().flatten();
    entries.map(|entry| entry.file_name()).collect()
}

/// All that a tree shows, without what is at and below the paths `without`. Times that the clock gave are not told.
pub fn shown(root: &Path, without: &[PathBuf]) -> Snapshot {
    let snapshot = snapshot::of(root, View::Shown);
    let known = |path: &PathBuf| !without.iter().any(|other| path.starts_with(other));
    snapshot
        .into_iter()
        .filter(|(path, _)| known(path))
        .map(|(path, text)| (path, without_clock(&text)))
        .collect()
}

fn without_clock(text: &str) -> String {
    let replaced = text.split_once(" mtime=").and_then(|(before, rest)| {
        let (seconds, rest) = rest.split_once('.')?;
        let seconds: i64 = seconds.parse().ok()?;
        let after = rest.find(' ').map_or("", |end| &rest[end..]);
        let time = intended::time(seconds, 0);
        Some(format!("{before} mtime={time}{after}"))
    });
    replaced.unwrap_or_else(|| text.to_owned())
}

/// Makes `to` a copy of all that is at `from`.
pub fn copy(from: &Path, to: &Path) -> Result<(), Errno> {
    let stat = fs::lstat(from)?;
    let mode = Mode::from_raw_mode(stat.st_mode & 0o7777);
    match kind(&stat) {
        FileType::Directory => {
            fs::mkdir(to, Mode::RWXU)?;
            for name in names(from) {
                match copy(&from.join(&name), &to.join(&name)) {
                    // A whiteout in a directory of one layer is listed, and is not there.
                    Err(Errno::NOENT) => (),
                    copied => copied?,
                }
            }
        }
        FileType::RegularFile => {
            let data = std::fs::read(from).map_err(code)?;
            std::fs::write(to, data).map_err(code)?;
        }
        FileType::Symlink => fs::symlink(fs::readlink(from, Vec::new())?, to)?,
        other => fs::mknodat(CWD, to, other, mode, stat.st_rdev)?,
    }
    copy_attributes(from, to, &stat)
}

fn code(error: std::io::Error) -> Errno {
    Errno::from_io_error(&error).unwrap_or(Errno::IO)
}

/// Gives `to` the owner, the mode, the attributes and the times of `from`, which is of the same type.
fn copy_attributes(from: &Path, to: &Path, stat: &Stat) -> Result<(), Errno> {
    let flags = AtFlags::SYMLINK_NOFOLLOW;
    let (uid, gid) = (Uid::from_raw(stat.st_uid), Gid::from_raw(stat.st_gid));
    fs::chownat(CWD, to, Some(uid), Some(gid), flags)?;
    if kind(stat) != FileType::Symlink {
        fs::chmod(to, Mode::from_raw_mode(stat.st_mode & 0o7777))?;
        copy_xattrs(from, to)?;
    }
    let times = Timestamps {
        last_access: Timespec {
            tv_sec: stat.st_atime,
            tv_nsec: stat.st_atime_nsec as _,
        },
        last_modification: Timespec {
            tv_sec: stat.st_mtime,
            tv_nsec: stat.st_mtime_nsec as _,
        },
    };
    fs::utimensat(CWD, to, &times, flags)
}

fn copy_xattrs(from: &Path, to: &Path) -> Result<(), Errno> {
    let list = |path: &Path| -> Result<BTreeMap<Vec<u8>, Vec<u8>>, Errno> {
        let (mut names, mut value) = (vec![0; 4096], vec![0; 4096]);
        let n = fs::llistxattr(path, &mut names[..])?;
        let names = names[..n].split(|byte| *byte == 0);
        let names = names.filter(|name| name.starts_with(b"user."));
        let pairs = names.map(|name| {
            let n = fs::lgetxattr(path, name, &mut value[..])?;
            Ok((name.to_vec(), value[..n].to_vec()))
        });
        pairs.collect()
    };
    let (wanted, had) = (list(from)?, list(to)?);
    for name in had.keys().filter(|name| !wanted.contains_key(*name)) {
        fs::lremovexattr(to, name.as_slice())?;
    }
    for (name, value) in wanted {
        fs::lsetxattr(to, name.as_slice(), &value, fs::XattrFlags::empty())?;
    }
    Ok(())
}

/// A plain tree that becomes another one.
#[derive(Debug)]
pub struct Settling<'a> {
    /// The plain tree.
    pub plain: &'a Path,
    /// What it has to be.
    pub wanted: &'a Path,
    /// The paths of what is no directory and stays the object that it is.
    pub kept: &'a BTreeSet<PathBuf>,
    /// Where all that does not stay goes with what is in it, for who has it open.
    pub gone: &'a Path,
}

impl Settling<'_> {
    /// Changes what is at the path `relative`, a directory in both trees: a directory stays what it is
    /// where there is one, and of the rest what is kept.
    pub fn settle(&self, relative: &Path) -> Result<(), Errno> {
        let (plain, wanted) = (self.plain.join(relative), self.wanted.join(relative));
        let mut all = names(&plain);
        all.extend(names(&wanted));
        for name in all {
            self.settle_one(&relative.join(name))?;
        }
        copy_attributes(&wanted, &plain, &fs::lstat(&wanted)?)
    }

    fn settle_one(&self, relative: &Path) -> Result<(), Errno> {
        let (plain, wanted) = (self.plain.join(relative), self.wanted.join(relative));
        let kind = |path: &Path| fs::lstat(path).ok().map(|stat| kind(&stat));
        let (is, shall_be) = (kind(&plain), kind(&wanted));
        match (is, shall_be) {
            (Some(FileType::Directory), Some(FileType::Directory)) => {
                return self.settle(relative);
            }
            (Some(_), Some(_)) if self.kept.contains(relative) => return Ok(()),
            (Some(_), _) => {
                let number = names(self.gone).len();
                fs::rename(&plain, self.gone.join(number.to_string()))?;
            }
            (None, _) => (),
        }
        match shall_be {
            Some(_) => copy(&wanted, &plain),
            None => Ok(()),
        }
    }
}
