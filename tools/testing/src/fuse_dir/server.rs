// SPDX-License-Identifier: GPL-2.0
//! The answers to the kernel's requests.

use std::ffi::OsStr;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use fuser::{
    FileAttr, Filesystem, ReplyAttr, ReplyData, ReplyDirectory, ReplyEmpty, ReplyEntry, ReplyWrite,
    ReplyXattr, Request, TimeOrNow,
};
use rustix::fs::{self, AtFlags, Gid, Mode, OFlags, RenameFlags, Uid, XattrFlags};
use rustix::io::Errno;

use super::{attributes, by_fd, lock, Asked, Shared, NOT_AT_ALL};

fn entry(reply: ReplyEntry, found: Result<FileAttr, Errno>) {
    match found {
        Ok(attributes) => reply.entry(&NOT_AT_ALL, &attributes, 0),
        Err(errno) => reply.error(errno.raw_os_error()),
    }
}

fn empty(reply: ReplyEmpty, done: Result<(), Errno>) {
    match done {
        Ok(()) => reply.ok(),
        Err(errno) => reply.error(errno.raw_os_error()),
    }
}

/// Answers with the length that `query` gives, or with what `get` puts into a buffer of `size` bytes.
fn xattr(
    reply: ReplyXattr,
    size: u32,
    query: impl FnOnce() -> Result<usize, Errno>,
    get: impl FnOnce(&mut [u8]) -> Result<usize, Errno>,
) {
    let mut buffer = vec![0; size as usize];
    let result = if size == 0 { query() } else { get(&mut buffer) };
    match result {
        Ok(len) if size == 0 => reply.size(u32::try_from(len).unwrap_or(u32::MAX)),
        Ok(len) => reply.data(&buffer[..len]),
        Err(errno) => reply.error(errno.raw_os_error()),
    }
}

/// What answers the kernel.
pub(super) struct Server(pub(super) Arc<Shared>);

impl Server {
    /// Answers now, or in a thread of its own if the request is held.
    fn answer<R: Send + 'static>(
        &self,
        asked: Asked,
        path: impl FnOnce(&Shared) -> PathBuf,
        reply: R,
        answer: impl FnOnce(&Shared, R) + Send + 'static,
    ) {
        let step = match &mut *lock(&self.0.hook) {
            Some(hook) => hook(&asked, &path(&self.0)),
            None => None,
        };
        let Some(step) = step else {
            return answer(&self.0, reply);
        };
        let shared = Arc::clone(&self.0);
        std::thread::spawn(move || {
            step();
            answer(&shared, reply);
        });
    }

    fn by_path<T>(
        &self,
        number: u64,
        call: impl FnOnce(&Path) -> Result<T, Errno>,
    ) -> Result<T, Errno> {
        call(&by_fd(&*self.0.node(number)?))
    }
}

fn timestamp(time: Option<TimeOrNow>) -> fs::Timespec {
    let (tv_sec, tv_nsec) = match time {
        None => (0, fs::UTIME_OMIT),
        Some(TimeOrNow::Now) => (0, fs::UTIME_NOW),
        Some(TimeOrNow::SpecificTime(time)) => {
            let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
            let seconds = i64::try_from(since.as_secs()).unwrap_or(0);
            (seconds, since.subsec_nanos().into())
        }
    };
    fs::Timespec { tv_sec, tv_nsec }
}

impl Filesystem for Server {
    fn lookup(&mut self, _: &Request<'_>, parent: u64, name: &OsStr, reply: ReplyEntry) {
        let (about, name) = (name.to_owned(), name.to_owned());
        self.answer(
            Asked::Lookup,
            |shared| shared.path_of(parent).join(about),
            reply,
            move |shared, reply| entry(reply, shared.find(parent, &name)),
        );
    }

    fn getattr(&mut self, _: &Request<'_>, number: u64, _: Option<u64>, reply: ReplyAttr) {
        self.answer(
            Asked::Getattr,
            |shared| shared.path_of(number),
            reply,
            move |shared, reply: ReplyAttr| match shared.node(number).and_then(|fd| attributes(&fd))
            {
                Ok(attributes) => reply.attr(&NOT_AT_ALL, &attributes),
                Err(errno) => reply.error(errno.raw_os_error()),
            },
        );
    }

    fn setattr(
        &mut self,
        _: &Request<'_>,
        number: u64,
        mode: Option<u32>,
        uid: Option<u32>,
        gid: Option<u32>,
        size: Option<u64>,
        atime: Option<TimeOrNow>,
        mtime: Option<TimeOrNow>,
        _: Option<SystemTime>,
        _: Option<u64>,
        _: Option<SystemTime>,
        _: Option<SystemTime>,
        _: Option<SystemTime>,
        _: Option<u32>,
        reply: ReplyAttr,
    ) {
        let changed = self.0.node(number).and_then(|fd| {
            let path = by_fd(&fd);
            if let Some(size) = size {
                let file = fs::open(&path, OFlags::WRONLY | OFlags::CLOEXEC, Mode::empty())?;
                fs::ftruncate(file, size)?;
            }
            if uid.is_some() || gid.is_some() {
                let (uid, gid) = (uid.map(Uid::from_raw), gid.map(Gid::from_raw));
                fs::chownat(&fd, "", uid, gid, AtFlags::EMPTY_PATH)?;
            }
            if let Some(mode) = mode {
                fs::chmod(&path, Mode::from_raw_mode(mode & 0o7777))?;
            }
            if atime.is_some() || mtime.is_some() {
                let times = fs::Timestamps {
                    last_access: timestamp(atime),
                    last_modification: timestamp(mtime),
                };
                fs::utimensat(fs::CWD, &path, &times, AtFlags::empty())?;
            }
            attributes(&fd)
        });
        match changed {
            Ok(attributes) => reply.attr(&NOT_AT_ALL, &attributes),
            Err(errno) => reply.error(errno.raw_os_error()),
        }
    }

    fn readlink(&mut self, _: &Request<'_>, number: u64, reply: ReplyData) {
        let target = self.0.node(number);
        match target.and_then(|fd| fs::readlinkat(&*fd, "", Vec::new())) {
            Ok(target) => reply.data(target.as_bytes()),
            Err(errno) => reply.error(errno.raw_os_error()),
        }
    }

    fn mknod(
        &mut self,
        _: &Request<'_>,
        parent: u64,
        name: &OsStr,
        mode: u32,
        _umask: u32,
        rdev: u32,
        reply: ReplyEntry,
    ) {
        let kind = fs::FileType::from_raw_mode(mode);
        let bits = Mode::from_raw_mode(mode & 0o7777);
        let make = |dir: &OwnedFd| fs::mknodat(dir, name, kind, bits, rdev.into());
        entry(reply, self.0.make(parent, name, make));
    }

    fn mkdir(
        &mut self,
        _: &Request<'_>,
        parent: u64,
        name: &OsStr,
        mode: u32,
        _umask: u32,
        reply: ReplyEntry,
    ) {
        let (about, name) = (name.to_owned(), name.to_owned());
        let bits = Mode::from_raw_mode(mode & 0o7777);
        self.answer(
            Asked::Mkdir,
            |shared| shared.path_of(parent).join(about),
            reply,
            move |shared, reply| {
                let make = |dir: &OwnedFd| fs::mkdirat(dir, &*name, bits);
                entry(reply, shared.make(parent, &name, make));
            },
        );
    }

    fn symlink(
        &mut self,
        _: &Request<'_>,
        parent: u64,
        name: &OsStr,
        target: &Path,
        reply: ReplyEntry,
    ) {
        let make = |dir: &OwnedFd| fs::symlinkat(target, dir, name);
        entry(reply, self.0.make(parent, name, make));
    }

    fn link(&mut self, _: &Request<'_>, number: u64, parent: u64, name: &OsStr, reply: ReplyEntry) {
        let linked = self.0.node(number).and_then(|old| {
            let make = |dir: &OwnedFd| fs::linkat(&*old, "", dir, name, AtFlags::EMPTY_PATH);
            self.0.make(parent, name, make)
        });
        entry(reply, linked);
    }

    fn unlink(&mut self, _: &Request<'_>, parent: u64, name: &OsStr, reply: ReplyEmpty) {
        let dir = self.0.node(parent);
        empty(
            reply,
            dir.and_then(|dir| fs::unlinkat(&*dir, name, AtFlags::empty())),
        );
    }

    fn rmdir(&mut self, _: &Request<'_>, parent: u64, name: &OsStr, reply: ReplyEmpty) {
        let dir = self.0.node(parent);
        empty(
            reply,
            dir.and_then(|dir| fs::unlinkat(&*dir, name, AtFlags::REMOVEDIR)),
        );
    }

    fn rename(
        &mut self,
        _: &Request<'_>,
        parent: u64,
        name: &OsStr,
        new_parent: u64,
        new_name: &OsStr,
        flags: u32,
        reply: ReplyEmpty,
    ) {
        let flags = RenameFlags::from_bits_retain(flags);
        let renamed = self.0.node(parent).and_then(|old| {
            let new = self.0.node(new_parent)?;
            fs::renameat_with(&*old, name, &*new, new_name, flags)
        });
        empty(reply, renamed);
    }

    fn read(
        &mut self,
        _: &Request<'_>,
        number: u64,
        _file: u64,
        offset: i64,
        size: u32,
        _flags: i32,
        _owner: Option<u64>,
        reply: ReplyData,
    ) {
        let mut buffer = vec![0; size as usize];
        let read = self.by_path(number, |path| {
            let file = fs::open(path, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())?;
            rustix::io::pread(file, &mut buffer[..], u64::try_from(offset).unwrap_or(0))
        });
        match read {
            Ok(len) => reply.data(&buffer[..len]),
            Err(errno) => reply.error(errno.raw_os_error()),
        }
    }

    fn write(
        &mut self,
        _: &Request<'_>,
        number: u64,
        _file: u64,
        offset: i64,
        data: &[u8],
        _write_flags: u32,
        _flags: i32,
        _owner: Option<u64>,
        reply: ReplyWrite,
    ) {
        let written = self.by_path(number, |path| {
            let file = fs::open(path, OFlags::WRONLY | OFlags::CLOEXEC, Mode::empty())?;
            rustix::io::pwrite(file, data, u64::try_from(offset).unwrap_or(0))
        });
        match written {
            Ok(len) => reply.written(u32::try_from(len).unwrap_or(0)),
            Err(errno) => reply.error(errno.raw_os_error()),
        }
    }

    fn readdir(
        &mut self,
        _: &Request<'_>,
        number: u64,
        _file: u64,
        offset: i64,
        mut reply: ReplyDirectory,
    ) {
        let list = match self.0.list(number) {
            Ok(list) => list,
            Err(errno) => return reply.error(errno.raw_os_error()),
        };
        for (next, (ino, kind, name)) in (1..).zip(list) {
            if next > offset && reply.add(ino, next, kind, OsStr::from_bytes(&name)) {
                break;
            }
        }
        reply.ok();
    }

    fn setxattr(
        &mut self,
        _: &Request<'_>,
        number: u64,
        name: &OsStr,
        value: &[u8],
        flags: i32,
        _position: u32,
        reply: ReplyEmpty,
    ) {
        let flags = XattrFlags::from_bits_retain(flags.unsigned_abs());
        empty(
            reply,
            self.by_path(number, |path| fs::setxattr(path, name, value, flags)),
        );
    }

    fn getxattr(
        &mut self,
        _: &Request<'_>,
        number: u64,
        name: &OsStr,
        size: u32,
        reply: ReplyXattr,
    ) {
        let name = name.to_string_lossy().into_owned();
        self.answer(
            Asked::Getxattr(name.clone()),
            |shared| shared.path_of(number),
            reply,
            move |shared, reply: ReplyXattr| match shared.node(number) {
                Ok(fd) => {
                    let path = by_fd(&fd);
                    let query = || fs::getxattr_query(&path, &*name);
                    xattr(reply, size, query, |buffer| {
                        fs::getxattr(&path, &*name, buffer)
                    });
                }
                Err(errno) => reply.error(errno.raw_os_error()),
            },
        );
    }

    fn listxattr(&mut self, _: &Request<'_>, number: u64, size: u32, reply: ReplyXattr) {
        self.answer(
            Asked::Listxattr,
            |shared| shared.path_of(number),
            reply,
            move |shared, reply: ReplyXattr| match shared.node(number) {
                Ok(fd) => {
                    let path = by_fd(&fd);
                    let query = || fs::listxattr_query(&path);
                    xattr(reply, size, query, |buffer| fs::listxattr(&path, buffer));
                }
                Err(errno) => reply.error(errno.raw_os_error()),
            },
        );
    }

    fn removexattr(&mut self, _: &Request<'_>, number: u64, name: &OsStr, reply: ReplyEmpty) {
        empty(
            reply,
            self.by_path(number, |path| fs::removexattr(path, name)),
        );
    }
}
