// SPDX-License-Identifier: GPL-2.0
//! Every allocation fails once in each of many system calls, each time on objects that no call has
//! met before, so that their lookup and copy-up are a part of it.

use std::path::Path;

use rovl_testing::mount::granted;
use rovl_testing::ops::{self, mknod, mode, names, read, setxattr, stat};
use rovl_testing::{acl, cases, dirent, Layers, Test};
use rustix::fs::{
    self, AtFlags, FallocateFlags, FileType, IFlags, OFlags, RenameFlags, SeekFrom, CWD,
};
use rustix::io::Errno;
use rustix::mm::{mmap, munmap, MapFlags, ProtFlags};

use crate::errors::failing_index::assert_work;
use crate::errors::fault_injection::{each_failure_by, only_thorough};

cases! {
    of_new_names,
    of_moved_names,
    of_removed_names,
    of_data,
    of_attributes,
    of_reading,
    of_redirects,
    of_metacopies,
    of_late_data,
    of_inode_numbers,
}

/// Does something below a directory that holds what [`prepare`] makes.
pub type Operation = fn(&Path) -> Result<(), Errno>;

const OLD: &[u8] = b"what the lower layer has";
pub const NEW: &[u8] = b"changed";

/// Two lower layers with what one attempt needs.
fn prepare(l: &Layers<'_>, name: &str) {
    let path = |rest: &str| format!("{name}/{rest}");
    l.lower(0)
        .file(path("f"), OLD)
        .xattr(path("f"), "user.a", "1")
        .file(path("other"), OLD)
        .symlink(path("s"), "f")
        .file(path("d/x"), "")
        .dir(path("empty"));
    l.lower(1).file(path("d/y"), "").file(path("below"), OLD);
}

/// Lets every allocation of `operation` fail, and checks after each failure that nothing
/// half-made is seen and that the lower layers are as before.
fn each(t: &Test, operations: &[(&str, Operation)]) {
    each_with(t, &[], operations);
}

/// The same on a mount with `options`.
pub fn each_with(t: &Test, options: &[(&str, &str)], operations: &[(&str, Operation)]) {
    only_thorough(t);
    for (name, operation) in operations {
        let dir = t.dir_on("tmpfs").join(name);
        let l = t.layers_in(&dir);
        // Room for as many attempts as there may be.
        l.lower(0).file("first", "");
        l.lower(1);
        let request = options
            .iter()
            .fold(l.request(), |request, (key, value)| request.set(key, value));
        let m = granted(t, request.mount(&l.merged()));
        let attempt = |n: u32| {
            let place = m.path(n.to_string());
            operation(&place)
        };
        prepare(&l, "1");
        let check = |n: u32| {
            look(&m.path(n.to_string()));
            assert_lower(&l, &n.to_string());
            assert_work(t, &l);
            prepare(&l, &(n + 1).to_string());
        };
        let failures = each_failure_by(1, attempt, check);
        println!("# {name}: {failures} allocations failed");
        assert!(failures > 0, "{name}: nothing was allocated");
        names(m.root());
        m.unmount();
    }
}

/// Everything that is seen is whole.
fn look(place: &Path) {
    for name in names(place) {
        let path = place.join(&name);
        match FileType::from_raw_mode(stat(&path).st_mode) {
            FileType::RegularFile => {
                let data = read(&path);
                let whole = [OLD, NEW, b""].contains(&data.as_slice());
                assert!(whole, "{name}: {:?}", String::from_utf8_lossy(&data));
            }
            FileType::Directory => drop(names(&path)),
            _ => (),
        }
    }
    let left: Vec<_> = names(place)
        .into_iter()
        .filter(|name| name.starts_with('#'))
        .collect();
    assert!(left.is_empty(), "{left:?}");
}

#[track_caller]
fn assert_lower(l: &Layers<'_>, name: &str) {
    let expected = ["below", "d", "empty", "f", "other", "s"];
    let mut seen = names(l.lower(0).path(name));
    seen.extend(names(l.lower(1).path(name)));
    assert_eq!(seen, ops::set(&expected), "the lower layers");
    assert_eq!(read(l.lower(0).path(format!("{name}/f"))), OLD);
    assert_eq!(read(l.lower(1).path(format!("{name}/below"))), OLD);
}

pub fn open(path: impl AsRef<Path>, flags: OFlags) -> Result<std::os::fd::OwnedFd, Errno> {
    fs::open(path.as_ref(), flags | OFlags::CLOEXEC, mode(0o644))
}

fn of_new_names(t: &Test) {
    each(
        t,
        &[
            ("create", |p| {
                open(p.join("new"), OFlags::CREATE | OFlags::RDWR).map(drop)
            }),
            ("mkdir", |p| fs::mkdir(p.join("new"), mode(0o755))),
            ("mknod", |p| mknod(p.join("new"), FileType::Fifo, 0o600, 0)),
            ("symlink", |p| fs::symlink("target", p.join("new"))),
            ("link", |p| fs::link(p.join("f"), p.join("new"))),
            ("unnamed", |p| {
                let file = open(p, OFlags::TMPFILE | OFlags::RDWR)?;
                rustix::io::pwrite(&file, NEW, 0)?;
                fs::linkat(&file, "", CWD, p.join("new"), AtFlags::EMPTY_PATH)
            }),
            ("create_over_whiteout", |p| {
                fs::unlink(p.join("f"))?;
                open(p.join("f"), OFlags::CREATE | OFlags::RDWR).map(drop)
            }),
            ("mkdir_over_whiteout", |p| {
                fs::rmdir(p.join("empty"))?;
                fs::mkdir(p.join("empty"), mode(0o755))
            }),
            ("link_over_whiteout", |p| {
                fs::unlink(p.join("other"))?;
                fs::link(p.join("f"), p.join("other"))
            }),
        ],
    );
}

fn of_moved_names(t: &Test) {
    each(
        t,
        &[
            ("rename", |p| fs::rename(p.join("f"), p.join("new"))),
            ("rename_over", |p| fs::rename(p.join("f"), p.join("other"))),
            ("rename_to_other_directory", |p| {
                fs::rename(p.join("below"), p.join("d/new"))
            }),
            ("rename_noreplace", |p| {
                let (from, to) = (p.join("f"), p.join("new"));
                fs::renameat_with(CWD, from, CWD, to, RenameFlags::NOREPLACE)
            }),
            ("exchange", |p| {
                let (from, to) = (p.join("f"), p.join("below"));
                fs::renameat_with(CWD, from, CWD, to, RenameFlags::EXCHANGE)
            }),
            ("rename_directory", |p| {
                fs::mkdir(p.join("new"), mode(0o755))?;
                fs::rename(p.join("new"), p.join("newer"))
            }),
            ("rename_over_directory", |p| {
                fs::mkdir(p.join("new"), mode(0o755))?;
                fs::rename(p.join("new"), p.join("empty"))
            }),
        ],
    );
}

fn of_removed_names(t: &Test) {
    each(
        t,
        &[
            ("unlink", |p| fs::unlink(p.join("f"))),
            ("unlink_upper", |p| {
                fs::mkdir(p.join("new"), mode(0o755))?;
                open(p.join("new/f"), OFlags::CREATE | OFlags::RDWR).map(drop)?;
                fs::unlink(p.join("new/f"))
            }),
            ("rmdir", |p| fs::rmdir(p.join("empty"))),
            ("rmdir_with_whiteouts", |p| {
                fs::unlink(p.join("d/x"))?;
                fs::unlink(p.join("d/y"))?;
                fs::rmdir(p.join("d"))
            }),
        ],
    );
}

fn of_data(t: &Test) {
    each(
        t,
        &[
            ("open", |p| open(p.join("f"), OFlags::RDWR).map(drop)),
            ("open_truncating", |p| {
                open(p.join("f"), OFlags::WRONLY | OFlags::TRUNC).map(drop)
            }),
            ("truncate", |p| {
                fs::ftruncate(open(p.join("f"), OFlags::RDWR)?, 0)
            }),
            ("write", |p| {
                let file = open(p.join("f"), OFlags::RDWR | OFlags::TRUNC)?;
                rustix::io::pwrite(&file, NEW, 0)?;
                fs::fsync(file)
            }),
            ("read_after_copy_up", |p| {
                let reader = open(p.join("f"), OFlags::RDONLY)?;
                open(p.join("f"), OFlags::RDWR)?;
                rustix::io::pread(&reader, &mut [0u8; 100], 0).map(drop)
            }),
            ("fallocate", |p| {
                let file = open(p.join("f"), OFlags::RDWR)?;
                fs::fallocate(&file, FallocateFlags::KEEP_SIZE, 0, 4096)
            }),
            ("copy_file_range", |p| {
                let from = open(p.join("f"), OFlags::RDONLY)?;
                let to = open(p.join("new"), OFlags::CREATE | OFlags::RDWR)?;
                fs::copy_file_range(&from, None, &to, None, OLD.len()).map(drop)
            }),
            ("map", |p| {
                let file = open(p.join("f"), OFlags::RDWR)?;
                let access = ProtFlags::READ | ProtFlags::WRITE;
                let at = std::ptr::null_mut();
                // SAFETY: the kernel picks an address that nothing else uses.
                let at = unsafe { mmap(at, 4096, access, MapFlags::SHARED, &file, 0)? };
                // SAFETY: nothing refers to the mapping.
                unsafe { munmap(at, 4096) }
            }),
            ("send_file", |p| {
                let from = open(p.join("f"), OFlags::RDONLY)?;
                let to = open(p.join("new"), OFlags::CREATE | OFlags::RDWR)?;
                fs::sendfile(&to, &from, None, OLD.len()).map(drop)
            }),
            ("seek_hole", |p| {
                let file = open(p.join("f"), OFlags::RDONLY)?;
                fs::seek(&file, SeekFrom::Hole(0)).map(drop)
            }),
        ],
    );
}

/// Of an access control list that is more than permission bits.
fn entries() -> [acl::Entry; 5] {
    [
        acl::owner(6),
        acl::group(5, 4),
        acl::group_owner(4),
        acl::mask(4),
        acl::other(4),
    ]
}

fn of_attributes(t: &Test) {
    each(
        t,
        &[
            ("chmod", |p| fs::chmod(p.join("f"), mode(0o600))),
            ("chmod_directory", |p| fs::chmod(p.join("d"), mode(0o700))),
            ("chown_symlink", |p| {
                let id = Some(fs::Uid::from_raw(7));
                fs::chownat(CWD, p.join("s"), id, None, AtFlags::SYMLINK_NOFOLLOW)
            }),
            ("utimes", |p| {
                let now = fs::Timespec {
                    tv_sec: 5,
                    tv_nsec: 0,
                };
                let times = fs::Timestamps {
                    last_access: now,
                    last_modification: now,
                };
                fs::utimensat(CWD, p.join("f"), &times, AtFlags::empty())
            }),
            ("setxattr", |p| setxattr(p.join("f"), "user.b", "2")),
            ("setxattr_escaped", |p| {
                setxattr(p.join("f"), "trusted.overlay.opaque", "y")
            }),
            ("removexattr", |p| fs::lremovexattr(p.join("f"), "user.a")),
            ("set_acl", |p| {
                setxattr(p.join("f"), acl::ACCESS, acl::value(&entries()))
            }),
            ("remove_acl", |p| {
                setxattr(p.join("f"), acl::ACCESS, acl::value(&entries()))?;
                fs::lremovexattr(p.join("f"), acl::ACCESS)
            }),
            ("chattr", |p| {
                let file = open(p.join("f"), OFlags::RDONLY)?;
                fs::ioctl_setflags(&file, IFlags::NOATIME)
            }),
        ],
    );
}

fn of_reading(t: &Test) {
    each(
        t,
        &[
            ("list", |p| {
                dirent::try_read(open(p.join("d"), OFlags::RDONLY)?, 256).map(drop)
            }),
            ("readlink", |p| {
                fs::readlink(p.join("s"), Vec::new()).map(drop)
            }),
            ("getxattr", |p| {
                fs::lgetxattr(p.join("f"), "user.a", &mut [0u8; 10]).map(drop)
            }),
            ("listxattr", |p| {
                fs::llistxattr(p.join("f"), &mut [0u8; 1000]).map(drop)
            }),
            ("handle", |p| {
                rovl_testing::overlay_xattr::fid_handle(&p.join("f"), 128, 0x200).map(drop)
            }),
            ("statfs", |p| fs::statfs(p.join("f")).map(drop)),
            ("missing", |p| match fs::lstat(p.join("d/missing")) {
                Err(Errno::NOENT) => Ok(()),
                other => other.map(drop),
            }),
        ],
    );
}

/// Names of a renamed directory, through which its files have to be found.
fn assert_entries(p: &Path, expected: &[&str]) -> Result<(), Errno> {
    let seen = dirent::try_read(open(p, OFlags::RDONLY)?, 1024)?;
    let mut seen: Vec<_> = seen.iter().map(|entry| entry.name.as_str()).collect();
    seen.retain(|name| ![".", ".."].contains(name));
    seen.sort_unstable();
    assert_eq!(seen, expected);
    Ok(())
}

fn of_redirects(t: &Test) {
    each_with(
        t,
        &[("redirect_dir", "on")],
        &[
            ("rename_lower_directory", |p| {
                fs::rename(p.join("d"), p.join("moved"))?;
                assert_entries(&p.join("moved"), &["x", "y"])
            }),
            ("rename_to_other_parent", |p| {
                fs::rename(p.join("empty"), p.join("d/moved"))?;
                assert_entries(&p.join("d"), &["moved", "x", "y"])
            }),
            ("rename_twice", |p| {
                fs::rename(p.join("d"), p.join("moved"))?;
                fs::rename(p.join("moved"), p.join("again"))?;
                assert_entries(&p.join("again"), &["x", "y"])
            }),
            ("rename_below_renamed", |p| {
                fs::rename(p.join("d"), p.join("moved"))?;
                fs::rename(p.join("moved/x"), p.join("moved/z"))?;
                assert_entries(&p.join("moved"), &["y", "z"])
            }),
            ("exchange_with_file", |p| {
                let (from, to) = (p.join("d"), p.join("f"));
                fs::renameat_with(CWD, from, CWD, to, RenameFlags::EXCHANGE)?;
                assert_entries(&p.join("f"), &["x", "y"])
            }),
            ("rename_over_empty", |p| {
                fs::rename(p.join("d"), p.join("empty"))?;
                assert_entries(&p.join("empty"), &["x", "y"])
            }),
        ],
    );
}

const METACOPY: [(&str, &str); 2] = [("redirect_dir", "on"), ("metacopy", "on")];

fn of_metacopies(t: &Test) {
    each_with(
        t,
        &METACOPY,
        &[
            ("metacopy", |p| fs::chmod(p.join("f"), mode(0o600))),
            ("metacopy_read", |p| {
                fs::chmod(p.join("f"), mode(0o600))?;
                let file = open(p.join("f"), OFlags::RDONLY)?;
                rustix::io::pread(&file, &mut [0u8; 100], 0).map(drop)
            }),
            ("metacopy_renamed", |p| {
                fs::rename(p.join("below"), p.join("d/new"))?;
                let file = open(p.join("d/new"), OFlags::RDONLY)?;
                rustix::io::pread(&file, &mut [0u8; 100], 0).map(drop)
            }),
        ],
    );
}

/// Data of files that were copied up without it.
fn of_late_data(t: &Test) {
    each_with(
        t,
        &METACOPY,
        &[
            ("late_truncation", |p| {
                fs::chmod(p.join("f"), mode(0o600))?;
                open(p.join("f"), OFlags::WRONLY | OFlags::TRUNC).map(drop)
            }),
            ("late_data", |p| {
                fs::chmod(p.join("f"), mode(0o600))?;
                open(p.join("f"), OFlags::RDWR).map(drop)
            }),
            ("late_data_with_capability", |p| {
                setxattr(p.join("f"), "security.capability", CAPABILITY)?;
                open(p.join("f"), OFlags::RDWR).map(drop)
            }),
            ("late_data_of_renamed", |p| {
                fs::rename(p.join("f"), p.join("new"))?;
                open(p.join("new"), OFlags::RDWR).map(drop)
            }),
            ("late_data_of_linked", |p| {
                fs::link(p.join("f"), p.join("new"))?;
                open(p.join("new"), OFlags::RDWR).map(drop)
            }),
        ],
    );
}

/// `cap_net_raw` permitted and effective, version 2.
const CAPABILITY: [u8; 20] = [
    1, 0, 0, 2, 0, 0x20, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
];

fn of_inode_numbers(t: &Test) {
    each_with(
        t,
        &[("xino", "on")],
        &[
            ("xino_stat", |p| fs::lstat(p.join("f")).map(drop)),
            ("xino_list", |p| {
                dirent::try_read(open(p.join("d"), OFlags::RDONLY)?, 256).map(drop)
            }),
            ("xino_list_copied_up", |p| {
                fs::chmod(p.join("d/x"), mode(0o600))?;
                dirent::try_read(open(p.join("d"), OFlags::RDONLY)?, 256).map(drop)
            }),
        ],
    );
}
