// SPDX-License-Identifier: GPL-2.0
//! Operations on attributes: of stat(2), extended ones, those of chattr(1).

use std::os::fd::{AsRawFd, OwnedFd};

use rovl_testing::overlay_xattr::{self, METACOPY};
use rovl_testing::verity;
use rustix::fs::{
    self, Access, AtFlags, Gid, Mode, OFlags, StatxFlags, Timespec, Timestamps, Uid, XattrFlags,
};
use rustix::io::Errno;

use super::{bytes, checked, done, mode};
use crate::actor::{Actor, Outcome};
use crate::{intended, snapshot};

/// `FS_IOC_GETFLAGS`, `FS_IOC_SETFLAGS`, `FS_IOC_FSGETXATTR` and `FS_IOC_FSSETXATTR`.
const GETFLAGS: libc::c_ulong = 0x8008_6601;
const SETFLAGS: libc::c_ulong = 0x4008_6602;
const FSGETXATTR: libc::c_ulong = 0x801c_581f;
const FSSETXATTR: libc::c_ulong = 0x401c_5820;

/// Immutable, append-only, synchronous, no access times, not dumped: the flags that are set.
const FLAGS: u32 = 0x10 | 0x20 | 0x8 | 0x80 | 0x40;
/// The same as `FS_XFLAG_*`.
const XFLAGS: u32 = 0x8 | 0x10 | 0x20 | 0x40 | 0x80;

/// The operations of this module.
pub fn run(actor: &Actor, words: &[&str]) -> Option<Outcome> {
    match *words {
        ["stat", path] => Some(stat(actor, path)),
        ["statx", path] => Some(statx(actor, path)),
        ["statfs", path] => Some(statfs(actor, path)),
        ["readlink", path] => Some(readlink(actor, path)),
        ["access", path, bits] => Some(access(actor, path, bits.parse().ok()?, AtFlags::empty())),
        ["eaccess", path, bits] => Some(access(actor, path, bits.parse().ok()?, AtFlags::EACCESS)),
        ["chmod", path, bits] => Some(chmod(actor, path, mode(bits)?)),
        ["chown", path, uid, gid] => {
            let id = |text: &str| match text {
                "-" => Some(None),
                _ => text.parse().ok().map(Some),
            };
            Some(chown(actor, path, id(uid)?, id(gid)?))
        }
        ["utimes", path, atime, mtime] => Some(utimes(actor, path, time(atime)?, time(mtime)?)),
        ["setxattr", path, name, value, flag] => {
            let flags = match flag {
                "-" => XattrFlags::empty(),
                "create" => XattrFlags::CREATE,
                "replace" => XattrFlags::REPLACE,
                _ => return None,
            };
            let value = bytes(value)?;
            Some(if is_fd(path) {
                actor
                    .fd(path)
                    .and_then(|fd| done(fs::fsetxattr(fd, name, &value, flags)))
            } else {
                let path = actor.path(path);
                path.and_then(|path| done(fs::lsetxattr(path, name, &value, flags)))
            })
        }
        ["removexattr", path, name] => Some(if is_fd(path) {
            actor
                .fd(path)
                .and_then(|fd| done(fs::fremovexattr(fd, name)))
        } else {
            let path = actor.path(path);
            path.and_then(|path| done(fs::lremovexattr(path, name)))
        }),
        ["getxattr", path, name] => Some(getxattr(actor, path, name, 65536)),
        ["getxattr", path, name, room] => Some(getxattr(actor, path, name, room.parse().ok()?)),
        ["listxattr", path] => Some(listxattr(actor, path)),
        ["origin", path, source, prefix, flipped] => {
            let flipped = flipped.parse().ok()?;
            Some(set_origin(actor, path, source, prefix, flipped))
        }
        ["verity", path, algorithm] => {
            let algorithm = algorithm.parse().ok()?;
            let file = opened_file(actor, path);
            Some(done(
                file.and_then(|file| verity::try_enable(&file, algorithm)),
            ))
        }
        ["digest", path, source, flipped] => {
            let flipped = flipped.parse().ok()?;
            Some(set_digest(actor, path, source, flipped))
        }
        ["getflags", path] => Some(get_flags(actor, path)),
        ["setflags", path, flags] => Some(set_flags(actor, path, hex(flags)? & FLAGS)),
        ["getfsx", path] => Some(get_fsx(actor, path)),
        ["setfsx", path, flags] => Some(set_fsx(actor, path, hex(flags)? & XFLAGS)),
        ["umask", bits] => {
            let old = rustix::process::umask(mode(bits)?);
            Some(Ok(format!("{:o}", old.bits())))
        }
        _ => None,
    }
}

fn is_fd(path: &str) -> bool {
    path.starts_with('@') && !path.contains('/')
}

fn hex(text: &str) -> Option<u32> {
    u32::from_str_radix(text, 16).ok()
}

fn stat(actor: &Actor, path: &str) -> Outcome {
    let (dir, path, flags) = actor.place(path)?;
    let stat = fs::statat(dir, path, flags | AtFlags::SYMLINK_NOFOLLOW)?;
    let atime = intended::time(stat.st_atime, stat.st_atime_nsec);
    Ok(format!("{} atime={atime}", snapshot::describe_stat(&stat)))
}

/// What statx(2) tells beyond stat(2).
fn statx(actor: &Actor, path: &str) -> Outcome {
    let (dir, path, flags) = actor.place(path)?;
    let mask = StatxFlags::BASIC_STATS | StatxFlags::BTIME | StatxFlags::DIOALIGN;
    let stat = fs::statx(dir, path, flags | AtFlags::SYMLINK_NOFOLLOW, mask)?;
    Ok(format!(
        "attributes {:x} of {:x} mask {:x} mode {:o} alignment {} {}",
        stat.stx_attributes.bits(),
        stat.stx_attributes_mask.bits(),
        stat.stx_mask,
        stat.stx_mode,
        stat.stx_dio_mem_align,
        stat.stx_dio_offset_align,
    ))
}

fn statfs(actor: &Actor, path: &str) -> Outcome {
    let stat = if is_fd(path) {
        fs::fstatfs(actor.fd(path)?)?
    } else {
        fs::statfs(actor.path(path)?)?
    };
    Ok(format!(
        "type {:x} block {} {} blocks {} files {} name {} flags {:x}",
        stat.f_type,
        stat.f_bsize,
        stat.f_frsize,
        stat.f_blocks,
        stat.f_files,
        stat.f_namelen,
        stat.f_flags
    ))
}

fn readlink(actor: &Actor, path: &str) -> Outcome {
    let (dir, path, _) = actor.place(path)?;
    let target = fs::readlinkat(dir, path, Vec::new())?;
    Ok(target.to_string_lossy().into_owned())
}

fn access(actor: &Actor, path: &str, bits: u32, flags: AtFlags) -> Outcome {
    let (dir, path, empty) = actor.place(path)?;
    let access = Access::from_bits_truncate(bits);
    done(fs::accessat(dir, path, access, flags | empty))
}

fn chmod(actor: &Actor, path: &str, bits: Mode) -> Outcome {
    if is_fd(path) {
        return done(fs::fchmod(actor.fd(path)?, bits));
    }
    let (dir, path, _) = actor.place(path)?;
    done(fs::chmodat(dir, path, bits, AtFlags::empty()))
}

fn chown(actor: &Actor, path: &str, uid: Option<u32>, gid: Option<u32>) -> Outcome {
    let (uid, gid) = (uid.map(Uid::from_raw), gid.map(Gid::from_raw));
    if is_fd(path) {
        return done(fs::fchown(actor.fd(path)?, uid, gid));
    }
    let (dir, path, _) = actor.place(path)?;
    done(fs::chownat(dir, path, uid, gid, AtFlags::SYMLINK_NOFOLLOW))
}

fn time(text: &str) -> Option<Timespec> {
    Some(match text {
        "now" => Timespec {
            tv_sec: 0,
            tv_nsec: fs::UTIME_NOW,
        },
        "-" => Timespec {
            tv_sec: 0,
            tv_nsec: fs::UTIME_OMIT,
        },
        _ => Timespec {
            tv_sec: text.parse().ok()?,
            tv_nsec: 123_456_789,
        },
    })
}

fn utimes(actor: &Actor, path: &str, atime: Timespec, mtime: Timespec) -> Outcome {
    let times = Timestamps {
        last_access: atime,
        last_modification: mtime,
    };
    if is_fd(path) {
        return done(fs::futimens(actor.fd(path)?, &times));
    }
    let (dir, path, _) = actor.place(path)?;
    done(fs::utimensat(dir, path, &times, AtFlags::SYMLINK_NOFOLLOW))
}

fn getxattr(actor: &Actor, path: &str, name: &str, room: usize) -> Outcome {
    let mut value = vec![0u8; room.min(65536)];
    let n = if is_fd(path) {
        fs::fgetxattr(actor.fd(path)?, name, &mut value[..])?
    } else {
        fs::lgetxattr(actor.path(path)?, name, &mut value[..])?
    };
    // Without room the answer is the length.
    let text = match value.get(..n) {
        Some(value) if room > 0 => intended::attribute(name, value),
        _ => String::new(),
    };
    Ok(format!("{n} {text}"))
}

fn listxattr(actor: &Actor, path: &str) -> Outcome {
    let mut list = vec![0u8; 65536];
    let n = if is_fd(path) {
        fs::flistxattr(actor.fd(path)?, &mut list[..])?
    } else {
        fs::llistxattr(actor.path(path)?, &mut list[..])?
    };
    let mut names: Vec<_> = list[..n].split(|byte| *byte == 0).collect();
    names.sort_unstable();
    let names: Vec<_> = names.into_iter().map(String::from_utf8_lossy).collect();
    Ok(format!("{n} {}", names.join(" ").trim()))
}

/// Sets the origin of an object to what identifies another one, with one byte of it flipped, or none
/// if the number is negative.
fn set_origin(actor: &Actor, path: &str, source: &str, prefix: &str, flipped: i32) -> Outcome {
    let value = overlay_xattr::origin_value(&actor.path(source)?)?;
    let name = format!("{prefix}.overlay.origin");
    set_flipped(actor, path, &name, value, flipped)
}

/// Says that the data of a file is elsewhere and has the digest of another file, in the same way.
fn set_digest(actor: &Actor, path: &str, source: &str, flipped: i32) -> Outcome {
    let (algorithm, digest) = verity::try_measure(&opened_file(actor, source)?)?;
    let value = verity::metacopy_value(algorithm, &digest);
    set_flipped(actor, path, METACOPY, value, flipped)
}

fn set_flipped(actor: &Actor, path: &str, name: &str, mut value: Vec<u8>, flipped: i32) -> Outcome {
    let byte = usize::try_from(flipped).ok();
    if let Some(byte) = byte.and_then(|number| value.get_mut(number)) {
        *byte ^= 0xff;
    }
    let path = actor.path(path)?;
    done(fs::lsetxattr(path, name, &value, XattrFlags::empty()))
}

fn opened_file(actor: &Actor, path: &str) -> Result<OwnedFd, Errno> {
    let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let (dir, path, _) = actor.place(path)?;
    fs::openat(dir, path, flags, Mode::empty())
}

/// Opens what the ioctls need an open file of.
fn opened<T>(
    actor: &Actor,
    path: &str,
    then: impl FnOnce(i32) -> Result<T, Errno>,
) -> Result<T, Errno> {
    if is_fd(path) {
        return then(actor.fd(path)?.as_raw_fd());
    }
    then(opened_file(actor, path)?.as_raw_fd())
}

fn flags_of(fd: i32) -> Result<u32, Errno> {
    let mut flags: u32 = 0;
    // SAFETY: the request writes an int.
    checked(unsafe { libc::ioctl(fd, GETFLAGS, &raw mut flags) }.into())?;
    Ok(flags)
}

fn get_flags(actor: &Actor, path: &str) -> Outcome {
    opened(actor, path, |fd| {
        flags_of(fd).map(|flags| format!("{flags:x}"))
    })
}

/// Sets the flags of the tests; the others say how the file is stored.
fn set_flags(actor: &Actor, path: &str, flags: u32) -> Outcome {
    opened(actor, path, |fd| {
        let flags = flags_of(fd)? & !FLAGS | flags;
        // SAFETY: the request reads an int.
        checked(unsafe { libc::ioctl(fd, SETFLAGS, &raw const flags) }.into())?;
        Ok(String::new())
    })
}

/// `struct fsxattr`.
#[repr(C)]
#[derive(Default)]
struct Fsx {
    xflags: u32,
    extent_size: u32,
    extents: u32,
    project: u32,
    cow_extent_size: u32,
    padding: [u8; 8],
}

fn fsx_of(fd: i32) -> Result<Fsx, Errno> {
    let mut fsx = Fsx::default();
    // SAFETY: the request writes a struct fsxattr.
    checked(unsafe { libc::ioctl(fd, FSGETXATTR, &raw mut fsx) }.into())?;
    Ok(fsx)
}

fn get_fsx(actor: &Actor, path: &str) -> Outcome {
    opened(actor, path, |fd| {
        let fsx = fsx_of(fd)?;
        Ok(format!(
            "{:x} {} {}",
            fsx.xflags, fsx.extent_size, fsx.project
        ))
    })
}

fn set_fsx(actor: &Actor, path: &str, flags: u32) -> Outcome {
    opened(actor, path, |fd| {
        let mut fsx = fsx_of(fd)?;
        fsx.xflags = fsx.xflags & !XFLAGS | flags;
        // SAFETY: the request reads a struct fsxattr.
        checked(unsafe { libc::ioctl(fd, FSSETXATTR, &raw const fsx) }.into())?;
        Ok(String::new())
    })
}
