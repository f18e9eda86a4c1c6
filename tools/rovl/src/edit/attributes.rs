// SPDX-License-Identifier: GPL-2.0

//! Giving a new object the attributes of the one that it stands for.

use crate::layer::{Entry, Kind, Result, Stat, Time};
use ondisk::{escape, Name};
use rustix::fd::{AsFd, AsRawFd};
use rustix::fs::{
    chmodat, chownat, removexattr, setxattr, utimensat, AtFlags, Gid, Mode, Timespec, Timestamps,
    Uid, XattrFlags, CWD,
};
use rustix::io::Errno;
use std::ffi::CString;

/// What a directory may hand down to what is made in it, unwanted.
const INHERITED: [&[u8]; 2] = [b"system.posix_acl_access", b"system.posix_acl_default"];

/// A mark of the overlay, and its value.
pub(super) type Mark = (Name, Vec<u8>);

/// The path by which the kernel finds an open object again: of a symbolic link, the link itself.
pub(super) fn by_descriptor(fd: impl AsFd) -> String {
    format!("/proc/self/fd/{}", fd.as_fd().as_raw_fd())
}

/// Gives `to` the attributes of `from`, and takes from it what that does not have.
pub(super) fn replace(from: &Entry, to: &Entry) -> Result<()> {
    let namespace = from.layer().namespace();
    let names = from.xattr_names()?;
    for name in to.xattr_names()? {
        if !names.contains(&name) && !escape::is_private(namespace, &name) {
            removexattr(by_descriptor(to), name)
                .map_err(|errno| to.error("take an attribute from it", errno))?;
        }
    }
    copy(from, to, &[])
}

/// Gives `to` the owner, the attributes, the permissions and the times of `from`. Those of the overlay
/// itself are left out, but for `marks`.
pub(super) fn copy(from: &Entry, to: &Entry, marks: &[Mark]) -> Result<()> {
    let stat = from.stat();
    set_owner(to, stat)?;
    copy_xattrs(from, to, marks)?;
    // After the owner, whose change takes set-uid away.
    set_mode(to, stat)?;
    set_times(to, stat.atime, stat.mtime)
}

fn set_owner(to: &Entry, stat: &Stat) -> Result<()> {
    let now = to.stat_again()?;
    if (now.uid, now.gid) == (stat.uid, stat.gid) {
        return Ok(());
    }
    let (uid, gid) = (Uid::from_raw(stat.uid), Gid::from_raw(stat.gid));
    chownat(to, "", Some(uid), Some(gid), AtFlags::EMPTY_PATH)
        .map_err(|errno| to.error("give it its owner", errno))
}

fn set_mode(to: &Entry, stat: &Stat) -> Result<()> {
    if to.kind() == Kind::Symlink || to.stat_again()?.permissions() == stat.permissions() {
        return Ok(());
    }
    let mode = Mode::from_raw_mode(stat.permissions());
    chmodat(CWD, by_descriptor(to), mode, AtFlags::empty())
        .map_err(|errno| to.error("give it its permissions", errno))
}

/// Gives the owner of a directory all rights on it, as far as that is allowed: what is missing shows when they
/// are needed.
pub(super) fn open_up(dir: &Entry) {
    if dir.stat().permissions() & 0o700 != 0o700 {
        let mode = Mode::from_raw_mode(0o700);
        let _ = chmodat(CWD, by_descriptor(dir), mode, AtFlags::empty());
    }
}

/// Sets the times of what is open.
pub(super) fn set_times(to: &Entry, atime: Time, mtime: Time) -> Result<()> {
    let time = |time: Time| Timespec {
        tv_sec: time.sec,
        tv_nsec: time.nsec.into(),
    };
    let times = Timestamps {
        last_access: time(atime),
        last_modification: time(mtime),
    };
    utimensat(CWD, by_descriptor(to), &times, AtFlags::empty())
        .map_err(|errno| to.error("give it its times", errno))
}

fn copy_xattrs(from: &Entry, to: &Entry, marks: &[Mark]) -> Result<()> {
    let path = by_descriptor(to);
    let namespace = from.layer().namespace();
    let names = from.xattr_names()?;
    let wanted = |name: &&Vec<u8>| !escape::is_private(namespace, name);
    for name in names.iter().filter(wanted) {
        let name = CString::new(name.as_slice())
            .map_err(|_| from.error("read an attribute", Errno::INVAL))?;
        // What is gone by now is not there.
        let Some(value) = from.xattr(&name)? else {
            continue;
        };
        setxattr(path.as_str(), name, &value, XattrFlags::empty())
            .map_err(|errno| to.error("give it an attribute", errno))?;
    }
    for name in to.xattr_names()? {
        if INHERITED.contains(&name.as_slice()) && !names.contains(&name) {
            removexattr(path.as_str(), name)
                .map_err(|errno| to.error("take an attribute from it", errno))?;
        }
    }
    for (name, value) in marks {
        setxattr(
            path.as_str(),
            name.full(namespace),
            value,
            XattrFlags::empty(),
        )
        .map_err(|errno| to.error("mark it", errno))?;
    }
    Ok(())
}
