// SPDX-License-Identifier: GPL-2.0
//! Random operations on a small tree, so that those of several threads meet. Any result is right:
//! the kernel has to survive them.

use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};

use fastrand::Rng;
use rustix::fs::{
    self, AtFlags, FallocateFlags, FileType, FlockOperation, Gid, IFlags, OFlags, RenameFlags,
    SeekFrom, StatxFlags, Timespec, Timestamps, Uid, XattrFlags, CWD,
};
use rustix::io::{Errno, ReadWriteFlags};
use rustix::mm::{mmap, msync, munmap, MapFlags, MsyncFlags, ProtFlags};

use crate::layers::Dir;
use crate::{dirent, ops};

/// Directories on the first level of the tree.
const DIRS: usize = 3;
/// Files in each directory.
const FILES: usize = 5;
/// Bytes of the longest file.
const LARGE: usize = 300_000;

/// Fills one layer with files, links, directories and special files; layers with different numbers
/// overlap in part.
pub fn fill(layer: &Dir, number: usize) {
    for d in 0..DIRS {
        for sub in ["", "s/", "s/t/"] {
            for n in (number % 2..FILES).step_by(1 + number) {
                layer.file(format!("d{d}/{sub}f{n}"), ops::pattern(1 << (4 * n), 1));
            }
        }
        layer
            .symlink(format!("d{d}/link{number}"), "f0")
            .node(format!("d{d}/fifo{number}"), FileType::Fifo, 0)
            .xattr(format!("d{d}"), "user.layer", number.to_string())
            .file(format!("d{d}/hard{number}"), ops::pattern(LARGE, 2))
            .link(format!("d{d}/hard{number}"), format!("d{d}/s/hard{number}"))
            .dir(format!("d{d}/e{number}"));
    }
    if number == 1 {
        layer.whiteout("d0/f4").opaque("d1/s");
    }
}

/// A directory of the tree.
pub fn dir(rng: &mut Rng, root: &Path) -> PathBuf {
    let d = rng.usize(..DIRS);
    let sub = rng.choice(["", "", "s", "s", "s/t", "e0"]).unwrap_or("");
    root.join(format!("d{d}")).join(sub)
}

/// A name in the tree, which may be that of anything.
pub fn name(rng: &mut Rng, root: &Path) -> PathBuf {
    let n = rng.usize(..FILES);
    let names = [
        format!("f{n}"),
        format!("f{n}"),
        format!("f{n}"),
        format!("hard{}", n % 2),
        format!("e{}", n % 3),
        format!("link{}", n % 2),
        "s".to_owned(),
        "fifo0".to_owned(),
    ];
    let last = rng.choice(names).unwrap_or_default();
    dir(rng, root).join(last)
}

fn some_flags(rng: &mut Rng) -> OFlags {
    let mut flags = rng
        .choice([OFlags::RDONLY, OFlags::WRONLY, OFlags::RDWR])
        .unwrap_or(OFlags::RDONLY);
    // Without the last, a FIFO would wait for its other end.
    for flag in [
        OFlags::CREATE,
        OFlags::EXCL,
        OFlags::TRUNC,
        OFlags::APPEND,
        OFlags::DIRECT,
    ] {
        flags.set(flag, rng.u8(..4) == 0);
    }
    flags | OFlags::NONBLOCK | OFlags::CLOEXEC
}

/// Opens a file in some way and does something with it.
pub fn file(rng: &mut Rng, root: &Path) -> Result<(), Errno> {
    let path = name(rng, root);
    let fd = fs::open(&path, some_flags(rng), ops::mode(0o644))?;
    for _ in 0..rng.usize(1..4) {
        let _ = use_file(rng, &fd);
        if rng.u8(..8) == 0 {
            let _ = fs::unlink(&path);
        }
    }
    Ok(())
}

fn use_file(rng: &mut Rng, fd: &OwnedFd) -> Result<(), Errno> {
    let at = rng.u64(..LARGE as u64);
    let mut buffer = [7u8; 5000];
    match rng.u8(..14) {
        0 => rustix::io::pread(fd, &mut buffer, at).map(drop),
        1 => rustix::io::pwrite(fd, &buffer, at).map(drop),
        2 => fs::ftruncate(fd, at),
        3 => fs::fallocate(fd, FallocateFlags::KEEP_SIZE, at, 8192),
        4 => {
            let punch = FallocateFlags::PUNCH_HOLE | FallocateFlags::KEEP_SIZE;
            fs::fallocate(fd, punch, at, 8192)
        }
        5 => fs::fsync(fd),
        6 => fs::seek(fd, SeekFrom::Data(at)).map(drop),
        7 => fs::fstat(fd).map(drop),
        8 => fs::fchmod(fd, ops::mode(0o600 + u32::from(rng.u8(..64)))),
        9 => fs::flock(fd, FlockOperation::NonBlockingLockExclusive),
        10 => {
            let mut to = at + LARGE as u64;
            fs::copy_file_range(fd, Some(&mut 0), fd, Some(&mut to), 20_000).map(drop)
        }
        11 => {
            let parts = [std::io::IoSlice::new(&buffer)];
            rustix::io::pwritev2(fd, &parts, at, ReadWriteFlags::DSYNC).map(drop)
        }
        12 => fs::fadvise(fd, 0, None, fs::Advice::DontNeed),
        _ => fs::ioctl_getflags(fd).map(drop),
    }
}

/// Changes names: everything that makes, moves and removes them.
pub fn names(rng: &mut Rng, root: &Path) -> Result<(), Errno> {
    let (from, to) = (name(rng, root), name(rng, root));
    match rng.u8(..12) {
        0 => fs::rename(from, to),
        1 => fs::renameat_with(CWD, from, CWD, to, RenameFlags::NOREPLACE),
        2 => fs::renameat_with(CWD, from, CWD, to, RenameFlags::EXCHANGE),
        3 => fs::link(from, to),
        4 => fs::unlink(from),
        5 => fs::rmdir(from),
        6 => fs::mkdir(from, ops::mode(0o755)),
        7 => fs::symlink("f1", from),
        8 => ops::mknod(from, FileType::Fifo, 0o600, 0),
        9 => unnamed(rng, root, &to),
        10 => fs::rmdir(dir(rng, root)),
        _ => {
            let made = dir(rng, root);
            fs::mkdir(&made, ops::mode(0o755))?;
            fs::rename(from, made.join("f1"))
        }
    }
}

fn unnamed(rng: &mut Rng, root: &Path, to: &Path) -> Result<(), Errno> {
    let flags = OFlags::TMPFILE | OFlags::RDWR;
    let file = fs::open(dir(rng, root), flags, ops::mode(0o600))?;
    rustix::io::pwrite(&file, b"unnamed", 0)?;
    fs::linkat(&file, "", CWD, to, AtFlags::EMPTY_PATH)
}

/// Changes attributes.
pub fn attributes(rng: &mut Rng, root: &Path) -> Result<(), Errno> {
    let path = name(rng, root);
    let value = vec![1u8; rng.usize(..900)];
    match rng.u8(..9) {
        0 => fs::chmod(path, ops::mode(0o500 + u32::from(rng.u8(..128)))),
        1 => {
            let id = rng.u32(..3);
            let (uid, gid) = (Some(Uid::from_raw(id)), Some(Gid::from_raw(id)));
            fs::chownat(CWD, path, uid, gid, AtFlags::SYMLINK_NOFOLLOW)
        }
        2 => {
            let time = Timespec {
                tv_sec: rng.i64(..2_000_000_000),
                tv_nsec: 5,
            };
            let times = Timestamps {
                last_access: time,
                last_modification: time,
            };
            fs::utimensat(CWD, path, &times, AtFlags::SYMLINK_NOFOLLOW)
        }
        3 => fs::lsetxattr(path, "user.a", &value, XattrFlags::empty()),
        4 => fs::lsetxattr(path, "trusted.b", &value, XattrFlags::CREATE),
        5 => fs::lremovexattr(path, "user.a"),
        6 => flags(&path),
        7 => fs::lsetxattr(path, "trusted.overlay.opaque", b"y", XattrFlags::empty()),
        _ => {
            let file = fs::open(path, OFlags::WRONLY | OFlags::NONBLOCK, ops::mode(0))?;
            fs::ftruncate(file, rng.u64(..5000))
        }
    }
}

fn flags(path: &Path) -> Result<(), Errno> {
    let file = fs::open(path, OFlags::RDONLY | OFlags::NONBLOCK, ops::mode(0))?;
    fs::ioctl_setflags(&file, fs::ioctl_getflags(&file)? ^ IFlags::NOATIME)
}

/// Looks at names, attributes and listings.
pub fn look(rng: &mut Rng, root: &Path) -> Result<(), Errno> {
    let path = name(rng, root);
    let mut buffer = [0u8; 4000];
    match rng.u8(..9) {
        0..3 => list(rng, root),
        3 => fs::lstat(path).map(drop),
        4 => fs::statx(CWD, path, AtFlags::empty(), StatxFlags::ALL).map(drop),
        5 => fs::readlink(path, Vec::new()).map(drop),
        6 => fs::lgetxattr(path, "user.layer", &mut buffer).map(drop),
        7 => fs::llistxattr(path, &mut buffer).map(drop),
        _ => fs::accessat(CWD, path, fs::Access::WRITE_OK, AtFlags::EACCESS),
    }
}

/// Reads a directory in small pieces, from the start and from somewhere.
fn list(rng: &mut Rng, root: &Path) -> Result<(), Errno> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY;
    let opened = fs::open(dir(rng, root), flags, ops::mode(0))?;
    let all = dirent::try_read(&opened, rng.usize(64..400))?;
    if let Some(entry) = rng.choice(&all) {
        let _ = fs::unlinkat(&opened, entry.name.as_str(), AtFlags::empty());
        fs::seek(&opened, SeekFrom::Start(entry.next))?;
    }
    dirent::try_read(&opened, 300).map(drop)
}

/// Writes and reads through a mapping; the kernel does the access, so that a truncation is an error
/// and not a signal.
pub fn mapping(rng: &mut Rng, root: &Path) -> Result<(), Errno> {
    const LEN: usize = 16 << 10;
    let path = name(rng, root);
    let file = fs::open(&path, OFlags::RDWR | OFlags::NONBLOCK, ops::mode(0))?;
    let zero = fs::open("/dev/zero", OFlags::RDONLY, ops::mode(0))?;
    let kinds = [MapFlags::SHARED, MapFlags::PRIVATE];
    let kind = rng.choice(kinds).unwrap_or(MapFlags::SHARED);
    let access = ProtFlags::READ | ProtFlags::WRITE;
    // SAFETY: the kernel picks an address that nothing else uses.
    let at = unsafe { mmap(std::ptr::null_mut(), LEN, access, kind, file.as_fd(), 0)? };
    for _ in 0..3 {
        // SAFETY: the buffer is the mapping, to which nothing else refers; the kernel checks each
        // page of it.
        let read = unsafe { libc::read(std::os::fd::AsRawFd::as_raw_fd(&zero), at, LEN) };
        if read < 0 {
            break;
        }
        // SAFETY: the range is that of the mapping.
        let _ = unsafe { msync(at, LEN, MsyncFlags::SYNC) };
    }
    // SAFETY: the mapping is not used from here on.
    unsafe { munmap(at, LEN) }
}

/// Changes a layer that is in use, behind the back of the overlay.
pub fn behind(rng: &mut Rng, layer: &Path) -> Result<(), Errno> {
    let path = name(rng, layer);
    match rng.u8(..10) {
        0 => {
            let _ = std::fs::remove_dir_all(&path);
            fs::mkdir(path, ops::mode(0o755))
        }
        1 => {
            let _ = std::fs::remove_dir_all(&path);
            let _ = fs::unlink(&path);
            let flags = OFlags::CREATE | OFlags::WRONLY | OFlags::NONBLOCK;
            let file = fs::open(path, flags, ops::mode(0o644))?;
            rustix::io::pwrite(file, b"a file now", 0).map(drop)
        }
        2 => {
            let _ = fs::unlink(&path);
            ops::mknod(path, FileType::CharacterDevice, 0, 0)
        }
        3 => fs::unlink(path),
        4 => fs::rename(path, name(rng, layer)),
        5..8 => {
            let names = [
                "opaque", "redirect", "origin", "metacopy", "impure", "nlink",
            ];
            let attribute = format!("trusted.overlay.{}", rng.choice(names).unwrap_or("opaque"));
            let values: [&[u8]; 4] = [b"y", b"/d0/f0", b"\0\xfb\x1d\0\xff", b""];
            let value = rng.choice(values).unwrap_or(b"y");
            fs::lsetxattr(path, attribute, value, XattrFlags::empty())
        }
        8 => fs::lremovexattr(path, "trusted.overlay.opaque"),
        _ => fs::chmod(path, ops::mode(0o755)),
    }
}
