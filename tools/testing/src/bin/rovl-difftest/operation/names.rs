// SPDX-License-Identifier: GPL-2.0
//! Operations that make, remove and move names.

use std::os::fd::AsRawFd;
use std::path::Path;

use rovl_testing::{dirent, ops};
use rustix::fs::{self, AtFlags, FileType, Mode, OFlags, RenameFlags, CWD};
use rustix::io::Errno;

use super::{done, mode, number};
use crate::actor::{Actor, Outcome};

/// The operations of this module.
pub fn run(actor: &Actor, words: &[&str]) -> Option<Outcome> {
    match *words {
        ["mkdir", path, bits] => Some(make_dir(actor, path, mode(bits)?)),
        ["symlink", target, path] => Some(symlink(actor, target, path)),
        ["mknod", path, kind, bits, dev] => {
            let kind = match kind {
                "file" => FileType::RegularFile,
                "fifo" => FileType::Fifo,
                "socket" => FileType::Socket,
                "char" => FileType::CharacterDevice,
                "block" => FileType::BlockDevice,
                _ => return None,
            };
            let (major, minor) = dev.split_once(':')?;
            let dev = fs::makedev(major.parse().ok()?, minor.parse().ok()?);
            Some(mknod(actor, path, kind, mode(bits)?, dev))
        }
        ["link", from, to] => Some(link(actor, from, to, AtFlags::empty())),
        ["link", from, to, "follow"] => Some(link(actor, from, to, AtFlags::SYMLINK_FOLLOW)),
        ["unlink", path] => Some(remove(actor, path, AtFlags::empty())),
        ["rmdir", path] => Some(remove(actor, path, AtFlags::REMOVEDIR)),
        ["rmtree", path] => Some(remove_tree(actor, path)),
        ["crowd", dir, first, count] => {
            Some(crowd(actor, dir, number(first)?, number(count)?.min(1000)))
        }
        ["rename", from, to, flag] => {
            let flags = match flag {
                "-" => RenameFlags::empty(),
                "noreplace" => RenameFlags::NOREPLACE,
                "exchange" => RenameFlags::EXCHANGE,
                "whiteout" => RenameFlags::WHITEOUT,
                "whiteout-exchange" => RenameFlags::WHITEOUT | RenameFlags::EXCHANGE,
                _ => return None,
            };
            Some(rename(actor, from, to, flags))
        }
        _ => None,
    }
}

fn make_dir(actor: &Actor, path: &str, bits: Mode) -> Outcome {
    let (dir, path, _) = actor.place(path)?;
    done(fs::mkdirat(dir, path, bits))
}

/// Makes `count` names in a directory, `n` and a number from `first` on: a directory where 16 divides it,
/// else an empty file. What is there stays.
fn crowd(actor: &Actor, dir: &str, first: u64, count: u64) -> Outcome {
    let (at, path, _) = actor.place(dir)?;
    for number in first..first.saturating_add(count) {
        let path = path.join(format!("n{number}"));
        let made = if number % 16 == 0 {
            fs::mkdirat(at, &path, ops::mode(0o777))
        } else {
            fs::mknodat(at, &path, FileType::RegularFile, ops::mode(0o666), 0)
        };
        match made {
            Ok(()) | Err(Errno::EXIST) => (),
            Err(error) => return Err(error),
        }
    }
    done(Ok(()))
}

fn symlink(actor: &Actor, target: &str, path: &str) -> Outcome {
    let (dir, path, _) = actor.place(path)?;
    done(fs::symlinkat(target, dir, path))
}

fn mknod(actor: &Actor, path: &str, kind: FileType, bits: Mode, dev: u64) -> Outcome {
    let (dir, path, _) = actor.place(path)?;
    done(fs::mknodat(dir, path, kind, bits, dev))
}

/// A link to an open file goes through its name in /proc, which needs no privilege.
fn link(actor: &Actor, from: &str, to: &str, flags: AtFlags) -> Outcome {
    let (to_dir, to_path, _) = actor.place(to)?;
    let (dir, path, empty) = actor.place(from)?;
    if empty.is_empty() {
        return done(fs::linkat(dir, path, to_dir, to_path, flags));
    }
    let path = format!("/proc/self/fd/{}", dir.as_raw_fd());
    done(fs::linkat(
        CWD,
        path,
        to_dir,
        to_path,
        AtFlags::SYMLINK_FOLLOW,
    ))
}

fn remove(actor: &Actor, path: &str, flags: AtFlags) -> Outcome {
    let (dir, path, _) = actor.place(path)?;
    done(fs::unlinkat(dir, path, flags))
}

fn rename(actor: &Actor, from: &str, to: &str, flags: RenameFlags) -> Outcome {
    let (dir, path, _) = actor.place(from)?;
    let (to_dir, to_path, _) = actor.place(to)?;
    done(fs::renameat_with(dir, path, to_dir, to_path, flags))
}

/// Removes all below `path`, then `path`, in the order of the names, and stops at an error.
fn remove_tree(actor: &Actor, path: &str) -> Outcome {
    let path = actor.path(path)?;
    done(remove_all(&path))
}

fn remove_all(path: &Path) -> Result<(), Errno> {
    let kind = FileType::from_raw_mode(fs::lstat(path)?.st_mode);
    if kind != FileType::Directory {
        return fs::unlink(path);
    }
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let fd = fs::open(path, flags, Mode::empty())?;
    let mut entries = dirent::try_read(fd, 4096)?;
    entries.sort_by(|a, b| a.name.cmp(&b.name));
    for entry in entries {
        if entry.name != "." && entry.name != ".." {
            remove_all(&path.join(&entry.name))?;
        }
    }
    fs::rmdir(path)
}
