// SPDX-License-Identifier: GPL-2.0
//! Single operations, each on an object of its own, for tests that look at what security modules are asked.

use std::ffi::CString;
use std::fs;
use std::os::fd::{AsRawFd, OwnedFd};
use std::path::Path;

use rovl_testing::ops::{mknod, mode};
use rovl_testing::Dir;
use rustix::fs::{
    self as sys, Access, AtFlags, FileType, IFlags, OFlags, RenameFlags, XattrFlags, CWD,
};
use rustix::io::Errno;
use rustix::mm::{mmap, mprotect, munmap, MapFlags, MprotectFlags, ProtFlags};

use Object::{Dir as LowerDir, Lower, MergedDir, Nothing, Symlink, Upper, UpperDir, Whiteout};

/// What a step is done to.
#[derive(Clone, Copy, Debug)]
pub enum Object {
    Nothing,
    Lower,
    Upper,
    Dir,
    UpperDir,
    MergedDir,
    Symlink,
    Whiteout,
}

/// A named operation on the object of its name.
pub struct Step {
    pub name: &'static str,
    object: Object,
    run: fn(&Path) -> Result<(), Errno>,
}

const fn step(name: &'static str, object: Object, run: fn(&Path) -> Result<(), Errno>) -> Step {
    Step { name, object, run }
}

impl Step {
    /// Does it to the object in `dir`.
    pub fn run(&self, dir: &Path) -> Result<(), Errno> {
        (self.run)(&dir.join(self.name))
    }

    /// Makes its object in `dir` of the layers, and gives the paths that are there now, with their layers.
    pub fn prepare(&self, lower: &Dir, upper: &Dir, dir: &str) {
        let name = format!("{dir}/{}", self.name);
        match self.object {
            Nothing => (),
            Lower => drop(lower.file(&name, "content").mode(&name, 0o755)),
            Upper => drop(upper.file(&name, "content").mode(&name, 0o755)),
            LowerDir => drop(lower.dir(&name)),
            UpperDir => drop(upper.dir(&name)),
            MergedDir => {
                lower.file(format!("{name}/lower"), "x");
                upper.file(format!("{name}/upper"), "x");
            }
            Symlink => drop(lower.symlink(&name, "target")),
            Whiteout => drop(upper.whiteout(&name)),
        }
    }
}

/// All of them.
pub const STEPS: &[Step] = &[
    step("stat a file", Lower, |at| sys::stat(at).map(drop)),
    step("stat an upper file", Upper, |at| sys::stat(at).map(drop)),
    step("stat a directory", MergedDir, |at| sys::stat(at).map(drop)),
    step("stat a name that is not there", Nothing, |at| {
        sys::stat(at).map(drop)
    }),
    step("stat a whiteout", Whiteout, |at| sys::stat(at).map(drop)),
    step("statfs", Lower, |at| sys::statfs(at).map(drop)),
    step("read a file", Lower, read),
    step("read an upper file", Upper, read),
    step("read a link", Symlink, |at| {
        sys::readlink(at, Vec::new()).map(drop)
    }),
    step("follow a link", Symlink, |at| sys::stat(at).map(drop)),
    step("list a directory", LowerDir, list),
    step("list a merged directory", MergedDir, list),
    step("find in a merged directory", MergedDir, |at| {
        sys::stat(at.join("lower")).map(drop)
    }),
    step("may read", Lower, |at| sys::access(at, Access::READ_OK)),
    step("may write", Lower, |at| sys::access(at, Access::WRITE_OK)),
    step("may write an upper file", Upper, |at| {
        sys::access(at, Access::WRITE_OK)
    }),
    step("may execute", Lower, |at| sys::access(at, Access::EXEC_OK)),
    step("open a path", Lower, |at| open(at, OFlags::PATH).map(drop)),
    step("open for writing", Lower, |at| {
        open(at, OFlags::WRONLY).map(drop)
    }),
    step("open an upper file for writing", Upper, |at| {
        open(at, OFlags::WRONLY).map(drop)
    }),
    step("open for both", Lower, |at| {
        open(at, OFlags::RDWR).map(drop)
    }),
    step("open for appending", Lower, |at| {
        open(at, OFlags::APPEND | OFlags::WRONLY).map(drop)
    }),
    step("open and truncate", Lower, |at| {
        open(at, OFlags::TRUNC | OFlags::WRONLY).map(drop)
    }),
    step("open and truncate an upper file", Upper, |at| {
        open(at, OFlags::TRUNC | OFlags::WRONLY).map(drop)
    }),
    step("write", Lower, write),
    step("write an upper file", Upper, write),
    step("read what is copied up meanwhile", Lower, read_over_copy_up),
    step("truncate", Lower, |at| {
        open(at, OFlags::WRONLY).and_then(|file| sys::ftruncate(file, 3))
    }),
    step("change the mode", Lower, |at| sys::chmod(at, mode(0o600))),
    step("change the mode of an upper file", Upper, |at| {
        sys::chmod(at, mode(0o600))
    }),
    step("change the mode of a directory", LowerDir, |at| {
        sys::chmod(at, mode(0o700))
    }),
    step("change the owner", Lower, owner),
    step("change the owner of a link", Symlink, owner),
    step("change the times", Lower, times),
    step("get an attribute", Lower, |at| {
        sys::lgetxattr(at, "user.none", &mut [0u8; 9][..]).map(drop)
    }),
    step("list attributes", Lower, |at| {
        sys::llistxattr(at, &mut [0u8; 999][..]).map(drop)
    }),
    step("set an attribute", Lower, |at| set(at, "user.a")),
    step("set an attribute of an upper file", Upper, |at| {
        set(at, "user.a")
    }),
    step("set a trusted attribute", Lower, |at| set(at, "trusted.a")),
    step("set capabilities", Lower, set_capabilities),
    step("remove an attribute", Lower, |at| {
        sys::lremovexattr(at, "user.none")
    }),
    step("get file attributes", Lower, |at| {
        open(at, OFlags::RDONLY)
            .and_then(sys::ioctl_getflags)
            .map(drop)
    }),
    step("set file attributes", Lower, |at| {
        open(at, OFlags::RDONLY).and_then(|file| sys::ioctl_setflags(file, IFlags::NOATIME))
    }),
    step("make a file", Nothing, |at| {
        open(at, OFlags::CREATE | OFlags::WRONLY).map(drop)
    }),
    step("make a file over a whiteout", Whiteout, |at| {
        open(at, OFlags::CREATE | OFlags::WRONLY).map(drop)
    }),
    step("make a directory", Nothing, |at| {
        sys::mkdir(at, mode(0o755))
    }),
    step("make a directory over a whiteout", Whiteout, |at| {
        sys::mkdir(at, mode(0o755))
    }),
    step("make a symbolic link", Nothing, |at| {
        sys::symlink("target", at)
    }),
    step("make a fifo", Nothing, |at| {
        mknod(at, FileType::Fifo, 0o644, 0)
    }),
    step("make an unnamed file", LowerDir, |at| {
        open(at, OFlags::TMPFILE | OFlags::RDWR).map(drop)
    }),
    step("link a file", Lower, |at| {
        sys::link(at, at.with_extension("link"))
    }),
    step("link an upper file", Upper, |at| {
        sys::link(at, at.with_extension("link"))
    }),
    step("rename a file", Lower, |at| {
        sys::rename(at, at.with_extension("renamed"))
    }),
    step("rename an upper file", Upper, |at| {
        sys::rename(at, at.with_extension("renamed"))
    }),
    step("rename a directory", UpperDir, |at| {
        sys::rename(at, at.with_extension("renamed"))
    }),
    step("rename a lower directory", LowerDir, |at| {
        sys::rename(at, at.with_extension("renamed"))
    }),
    step("rename over a file", Lower, |at| {
        sys::rename(at.with_file_name("stat an upper file"), at)
    }),
    step("exchange files", Lower, |at| {
        sys::renameat_with(
            CWD,
            at,
            CWD,
            at.with_file_name("write"),
            RenameFlags::EXCHANGE,
        )
    }),
    step("remove a file", Lower, |at| sys::unlink(at)),
    step("remove an upper file", Upper, |at| sys::unlink(at)),
    step("remove a directory", LowerDir, |at| sys::rmdir(at)),
    step("remove an upper directory", UpperDir, |at| sys::rmdir(at)),
    step("remove a merged directory", MergedDir, |at| {
        sys::unlink(at.join("lower"))?;
        sys::unlink(at.join("upper"))?;
        sys::rmdir(at)
    }),
    step("map for reading", Lower, |at| {
        map(at, ProtFlags::READ, MapFlags::PRIVATE)
    }),
    step("map for executing", Lower, |at| {
        map(at, ProtFlags::READ | ProtFlags::EXEC, MapFlags::PRIVATE)
    }),
    step("map an upper file for executing", Upper, |at| {
        map(at, ProtFlags::READ | ProtFlags::EXEC, MapFlags::PRIVATE)
    }),
    step("map and then make executable", Lower, map_and_protect),
    step("map for writing", Lower, |at| {
        map(at, ProtFlags::READ | ProtFlags::WRITE, MapFlags::SHARED)
    }),
    step("execute", Lower, execute),
    step("execute an upper file", Upper, execute),
    step("lock", Lower, |at| {
        open(at, OFlags::RDONLY).and_then(|file| sys::flock(file, sys::FlockOperation::LockShared))
    }),
    step("allocate", Lower, |at| {
        open(at, OFlags::WRONLY)
            .and_then(|file| sys::fallocate(file, sys::FallocateFlags::empty(), 0, 100))
    }),
    step("watch", Lower, |at| {
        let watcher = sys::inotify::init(sys::inotify::CreateFlags::CLOEXEC)?;
        sys::inotify::add_watch(&watcher, at, sys::inotify::WatchFlags::MODIFY).map(drop)
    }),
    step("copy a range", Lower, copy_range),
];

fn open(at: &Path, flags: OFlags) -> Result<OwnedFd, Errno> {
    sys::open(at, flags | OFlags::CLOEXEC, mode(0o644))
}

fn read(at: &Path) -> Result<(), Errno> {
    rustix::io::read(open(at, OFlags::RDONLY)?, &mut [0u8; 16][..]).map(drop)
}

fn write(at: &Path) -> Result<(), Errno> {
    rustix::io::write(open(at, OFlags::WRONLY)?, b"written").map(drop)
}

fn list(at: &Path) -> Result<(), Errno> {
    let dir = open(at, OFlags::RDONLY | OFlags::DIRECTORY)?;
    sys::Dir::read_from(dir)?.try_for_each(|entry| entry.map(drop))
}

fn read_over_copy_up(at: &Path) -> Result<(), Errno> {
    let reader = open(at, OFlags::RDONLY)?;
    sys::chmod(at, mode(0o600))?;
    rustix::io::read(reader, &mut [0u8; 16][..]).map(drop)
}

fn owner(at: &Path) -> Result<(), Errno> {
    let id = sys::Uid::from_raw(7);
    sys::chownat(CWD, at, Some(id), None, AtFlags::SYMLINK_NOFOLLOW)
}

fn times(at: &Path) -> Result<(), Errno> {
    let second = sys::Timespec {
        tv_sec: 1,
        tv_nsec: 0,
    };
    let times = sys::Timestamps {
        last_access: second,
        last_modification: second,
    };
    sys::utimensat(CWD, at, &times, AtFlags::empty())
}

fn set(at: &Path, name: &str) -> Result<(), Errno> {
    sys::lsetxattr(at, name, b"1", XattrFlags::empty())
}

/// CAP_NET_RAW, in the second version of the format.
fn set_capabilities(at: &Path) -> Result<(), Errno> {
    let mut value = [0u8; 20];
    (value[3], value[5]) = (2, 0x20);
    sys::lsetxattr(at, "security.capability", &value, XattrFlags::empty())
}

fn map(at: &Path, prot: ProtFlags, flags: MapFlags) -> Result<(), Errno> {
    let writes = prot.contains(ProtFlags::WRITE);
    let file = open(at, if writes { OFlags::RDWR } else { OFlags::RDONLY })?;
    // SAFETY: the kernel picks the address, and nobody looks at the mapping.
    let address = unsafe { mmap(std::ptr::null_mut(), 4096, prot, flags, file, 0)? };
    // SAFETY: as above.
    unsafe { munmap(address, 4096) }
}

fn map_and_protect(at: &Path) -> Result<(), Errno> {
    let file = open(at, OFlags::RDONLY)?;
    let (prot, flags) = (ProtFlags::READ, MapFlags::PRIVATE);
    // SAFETY: the kernel picks the address, and nobody looks at the mapping.
    let address = unsafe { mmap(std::ptr::null_mut(), 4096, prot, flags, file, 0)? };
    // SAFETY: as above.
    let result = unsafe { mprotect(address, 4096, MprotectFlags::READ | MprotectFlags::EXEC) };
    // SAFETY: as above.
    unsafe { munmap(address, 4096)? };
    result
}

/// The object is no program: ENOEXEC is what follows where nothing was refused.
fn execute(at: &Path) -> Result<(), Errno> {
    let path = CString::new(at.as_os_str().as_encoded_bytes()).map_err(|_| Errno::INVAL)?;
    let arguments = [path.as_ptr(), std::ptr::null()];
    // SAFETY: path and arguments end with a NUL and a null pointer.
    unsafe { libc::execv(path.as_ptr(), arguments.as_ptr()) };
    Err(Errno::from_raw_os_error(
        std::io::Error::last_os_error()
            .raw_os_error()
            .unwrap_or_default(),
    ))
}

fn copy_range(at: &Path) -> Result<(), Errno> {
    let from = open(at, OFlags::RDONLY)?;
    let to = open(&at.with_extension("copy"), OFlags::CREATE | OFlags::WRONLY)?;
    sys::copy_file_range(&from, None, &to, None, 4).map(drop)?;
    fs::metadata(format!("/proc/self/fd/{}", to.as_raw_fd())).map_or(Err(Errno::NOENT), |_| Ok(()))
}

/// Checks that each step gave the same line on both types.
#[track_caller]
pub fn same_lines(ours: &[String], theirs: &[String]) {
    assert_eq!(ours.len(), theirs.len());
    let different: Vec<String> = ours
        .iter()
        .zip(theirs)
        .filter(|(a, b)| a != b)
        .map(|(a, b)| format!("{a}\noverlay: {b}"))
        .collect();
    assert!(different.is_empty(), "{}", different.join("\n"));
}
