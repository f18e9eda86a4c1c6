// SPDX-License-Identifier: GPL-2.0
//! The operations of a script, and what can be seen of their outcome.

use std::ffi::CString;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use rovl_testing::{dirent, ops};
use rustix::fs::{self, AtFlags, FileType, Gid, OFlags, RenameFlags, Uid, XattrFlags, CWD};
use rustix::io::{self, Errno};

use crate::snapshot;

/// What an operation gave: a text for comparison, or its error.
pub type Outcome = Result<String, Errno>;

/// Most bytes that are read from a file, because some devices never end.
const READ_MAX: usize = 1 << 20;

/// Does what `words` say below `root`. `None` if they do not make an operation.
pub fn run(root: &Path, words: &[String]) -> Option<Outcome> {
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let outcome = names(root, &words)
        .or_else(|| contents(root, &words))
        .or_else(|| attributes(root, &words))?;
    Some(outcome)
}

fn octal(text: &str) -> Option<u32> {
    u32::from_str_radix(text, 8).ok()
}

fn done(result: Result<(), Errno>) -> Option<Outcome> {
    Some(result.map(|()| String::new()))
}

fn names(root: &Path, words: &[&str]) -> Option<Outcome> {
    match *words {
        ["mkdir", path, bits] => done(fs::mkdir(root.join(path), ops::mode(octal(bits)?))),
        ["symlink", target, path] => done(fs::symlink(target, root.join(path))),
        ["mknod", path, kind, bits, dev] => {
            let kind = match kind {
                "fifo" => FileType::Fifo,
                "socket" => FileType::Socket,
                "char" => FileType::CharacterDevice,
                "block" => FileType::BlockDevice,
                _ => return None,
            };
            let (major, minor) = dev.split_once(':')?;
            let dev = fs::makedev(major.parse().ok()?, minor.parse().ok()?);
            done(ops::mknod(root.join(path), kind, octal(bits)?, dev))
        }
        ["link", from, to] => done(fs::link(root.join(from), root.join(to))),
        ["unlink", path] => done(fs::unlink(root.join(path))),
        ["rmdir", path] => done(fs::rmdir(root.join(path))),
        ["rmtree", path] => done(remove_tree(&root.join(path))),
        ["rename", from, to, flag] => {
            let flags = match flag {
                "-" => RenameFlags::empty(),
                "noreplace" => RenameFlags::NOREPLACE,
                "exchange" => RenameFlags::EXCHANGE,
                "whiteout" => RenameFlags::WHITEOUT,
                _ => return None,
            };
            let (from, to) = (root.join(from), root.join(to));
            done(fs::renameat_with(CWD, from, CWD, to, flags))
        }
        ["tmpfile", dir, path, bits] => done(linked_tmpfile(
            &root.join(dir),
            &root.join(path),
            octal(bits)?,
        )),
        _ => None,
    }
}

fn contents(root: &Path, words: &[&str]) -> Option<Outcome> {
    let number = |text: &str| text.parse::<u64>().ok();
    let data = |len: &str, seed: &str| Some(ops::pattern(number(len)? as usize, number(seed)?));
    match *words {
        ["create", path, bits] => {
            let flags = OFlags::CREATE | OFlags::EXCL | OFlags::WRONLY;
            done(open(&root.join(path), flags, octal(bits)?).map(drop))
        }
        ["put", path, len, seed] => {
            let flags = OFlags::CREATE | OFlags::TRUNC | OFlags::WRONLY;
            done(write(&root.join(path), flags, 0, &data(len, seed)?))
        }
        ["write", path, offset, len, seed] => {
            let (path, offset) = (root.join(path), number(offset)?);
            done(write(&path, OFlags::WRONLY, offset, &data(len, seed)?))
        }
        ["append", path, len, seed] => {
            let flags = OFlags::WRONLY | OFlags::APPEND;
            done(write(&root.join(path), flags, 0, &data(len, seed)?))
        }
        ["truncate", path, size] => done(truncate(&root.join(path), number(size)?)),
        ["read", path] => Some(read(&root.join(path))),
        ["readdir", path] => Some(read_dir(&root.join(path))),
        _ => None,
    }
}

fn attributes(root: &Path, words: &[&str]) -> Option<Outcome> {
    match *words {
        ["stat", path] => Some(stat(&root.join(path))),
        ["readlink", path] => Some(
            fs::readlink(root.join(path), Vec::new())
                .map(|target| target.to_string_lossy().into_owned()),
        ),
        ["chmod", path, bits] => done(fs::chmod(root.join(path), ops::mode(octal(bits)?))),
        ["chown", path, uid, gid] => {
            let uid = Some(Uid::from_raw(uid.parse().ok()?));
            let gid = Some(Gid::from_raw(gid.parse().ok()?));
            let flags = AtFlags::SYMLINK_NOFOLLOW;
            done(fs::chownat(CWD, root.join(path), uid, gid, flags))
        }
        ["utimes", path, seconds] => {
            let time = fs::Timespec {
                tv_sec: seconds.parse().ok()?,
                tv_nsec: 0,
            };
            let times = fs::Timestamps {
                last_access: time,
                last_modification: time,
            };
            let flags = AtFlags::SYMLINK_NOFOLLOW;
            done(fs::utimensat(CWD, root.join(path), &times, flags))
        }
        ["setxattr", path, name, value, flag] => {
            let flags = match flag {
                "-" => XattrFlags::empty(),
                "create" => XattrFlags::CREATE,
                "replace" => XattrFlags::REPLACE,
                _ => return None,
            };
            let value = bytes(value)?;
            done(fs::lsetxattr(root.join(path), name, &value, flags))
        }
        ["removexattr", path, name] => done(fs::lremovexattr(root.join(path), name)),
        ["getxattr", path, name] => {
            Some(ops::getxattr(root.join(path), name).map(|value| format!("{value:02x?}")))
        }
        ["listxattr", path] => {
            Some(ops::listxattr(root.join(path)).map(|names| format!("{names:?}")))
        }
        _ => None,
    }
}

/// Value of an attribute: `0x` and hexadecimal digits, or the text itself.
fn bytes(text: &str) -> Option<Vec<u8>> {
    let Some(digits) = text.strip_prefix("0x") else {
        return Some(text.as_bytes().to_vec());
    };
    (0..digits.len())
        .step_by(2)
        .map(|at| u8::from_str_radix(digits.get(at..at + 2)?, 16).ok())
        .collect()
}

/// Opens without waiting for the other end of a FIFO.
fn open(path: &Path, flags: OFlags, bits: u32) -> Result<OwnedFd, Errno> {
    let flags = flags | OFlags::CLOEXEC | OFlags::NONBLOCK;
    fs::open(path, flags, ops::mode(bits))
}

fn write(path: &Path, flags: OFlags, offset: u64, data: &[u8]) -> Result<(), Errno> {
    let fd = open(path, flags, 0o644)?;
    let mut done = 0;
    while done < data.len() {
        done += io::pwrite(&fd, &data[done..], offset + done as u64)?;
    }
    Ok(())
}

fn truncate(path: &Path, size: u64) -> Result<(), Errno> {
    let path = CString::new(path.as_os_str().as_bytes()).map_err(|_| Errno::INVAL)?;
    let size = i64::try_from(size).map_err(|_| Errno::FBIG)?;
    // SAFETY: the path is a C string that outlives the call.
    if unsafe { libc::truncate(path.as_ptr(), size) } == 0 {
        return Ok(());
    }
    let code = std::io::Error::last_os_error().raw_os_error();
    Err(code.map_or(Errno::IO, Errno::from_raw_os_error))
}

fn read(path: &Path) -> Outcome {
    let fd = open(path, OFlags::RDONLY, 0)?;
    let mut data = Vec::new();
    let mut chunk = [0u8; 65536];
    while data.len() < READ_MAX {
        match io::read(&fd, &mut chunk)? {
            0 => break,
            n => data.extend_from_slice(&chunk[..n]),
        }
    }
    Ok(format!("{} {:016x}", data.len(), snapshot::digest(&data)))
}

fn read_dir(path: &Path) -> Outcome {
    let fd = open(path, OFlags::RDONLY | OFlags::DIRECTORY, 0)?;
    let mut entries: Vec<String> = dirent::try_read(fd, 512)?
        .into_iter()
        .map(|entry| format!("{} {:?}", entry.name, entry.kind))
        .collect();
    entries.sort();
    Ok(entries.join(", "))
}

fn stat(path: &Path) -> Outcome {
    let stat = fs::lstat(path)?;
    Ok(snapshot::describe_stat(&stat))
}

fn linked_tmpfile(dir: &Path, path: &Path, bits: u32) -> Result<(), Errno> {
    let fd = open(dir, OFlags::TMPFILE | OFlags::RDWR, bits)?;
    io::write(&fd, b"tmpfile")?;
    let from = format!("/proc/self/fd/{}", fd.as_raw_fd());
    fs::linkat(CWD, from, CWD, path, AtFlags::SYMLINK_FOLLOW)
}

/// Removes all below `path`, then `path`, in the order of the names, and stops at an error.
fn remove_tree(path: &Path) -> Result<(), Errno> {
    let kind = FileType::from_raw_mode(fs::lstat(path)?.st_mode);
    if kind != FileType::Directory {
        return fs::unlink(path);
    }
    let fd = open(path, OFlags::RDONLY | OFlags::DIRECTORY, 0)?;
    let mut entries = dirent::try_read(fd, 4096)?;
    entries.sort_by(|a, b| a.name.cmp(&b.name));
    for entry in entries {
        if entry.name != "." && entry.name != ".." {
            remove_tree(&path.join(&entry.name))?;
        }
    }
    fs::rmdir(path)
}
