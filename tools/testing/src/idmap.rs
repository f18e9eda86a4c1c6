// SPDX-License-Identifier: GPL-2.0
//! Id-mapped mounts.

use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::path::Path;

use rustix::fs::{OFlags, CWD};
use rustix::io::Errno;
use rustix::mount::{move_mount, open_tree, MoveMountFlags, OpenTreeFlags};

use crate::caller::fork;
use crate::case::skip;
use crate::mount::Mounted;
use crate::ops::{mode, ok};
use crate::raw;

/// What is added to the ids of users by the mappings here. Those of the system, below 1000, stay what
/// they are, so that root may use such a mount.
pub const SHIFT: u32 = 100_000;

/// A user namespace whose ids are those outside as `map` says, in the form of `/proc/PID/uid_map`; that
/// of groups is the same.
#[track_caller]
pub fn user_namespace(map: &str) -> OwnedFd {
    let (read, write) = ok(rustix::pipe::pipe());
    let child = fork(|| {
        // SAFETY: only changes the namespace of the child, which has one thread.
        let made = unsafe { libc::unshare(libc::CLONE_NEWUSER) } == 0;
        if rustix::io::write(&write, &[u8::from(made)]).is_err() {
            return 1;
        }
        loop {
            // SAFETY: waits for a signal, which ends the child.
            unsafe { libc::pause() };
        }
    });
    // The map can be written once the child has its namespace.
    let mut made = [0];
    ok(rustix::io::read(&read, &mut made));
    if made != [1] {
        child.kill();
        child.wait();
        skip("user namespaces cannot be made here");
    }
    let proc = format!("/proc/{}", child.id());
    ok(std::fs::write(format!("{proc}/uid_map"), map));
    ok(std::fs::write(format!("{proc}/gid_map"), map));
    let namespace = ok(rustix::fs::open(
        format!("{proc}/ns/user"),
        OFlags::RDONLY | OFlags::CLOEXEC,
        mode(0),
    ));
    child.kill();
    child.wait();
    namespace
}

/// Maps the ids of a mount that has no place in the tree yet as those of a user namespace.
pub fn try_map_ids(mount: impl AsFd, namespace: impl AsFd) -> Result<(), Errno> {
    let fd = namespace.as_fd().as_raw_fd();
    let attributes = libc::mount_attr {
        attr_set: libc::MOUNT_ATTR_IDMAP,
        attr_clr: 0,
        propagation: 0,
        userns_fd: u64::try_from(fd).map_err(|_| Errno::BADF)?,
    };
    // SAFETY: the path is empty and the structure has the size that is passed.
    let returned = unsafe {
        libc::syscall(
            libc::SYS_mount_setattr,
            mount.as_fd().as_raw_fd(),
            c"".as_ptr(),
            libc::AT_EMPTY_PATH,
            &raw const attributes,
            size_of::<libc::mount_attr>(),
        )
    };
    raw::result(returned).map(|_| ())
}

/// Maps the ids of users [`SHIFT`] higher.
#[track_caller]
fn map_ids(mount: impl AsFd) {
    let map = format!("0 0 1000\n1000 {} 64536\n", SHIFT + 1000);
    ok(try_map_ids(mount, user_namespace(&map)));
}

/// A mount of the directory `dir` without a place in the tree, in which users' ids are [`SHIFT`] higher.
#[track_caller]
pub fn id_mapped(dir: &Path) -> OwnedFd {
    let flags = OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::OPEN_TREE_CLOEXEC;
    let mount = ok(open_tree(CWD, dir, flags));
    map_ids(&mount);
    mount
}

/// Opens a directory below such a mount, by its path only.
#[track_caller]
pub fn open_below(mount: &OwnedFd, name: &str) -> OwnedFd {
    ok(rustix::fs::openat(
        mount,
        name,
        OFlags::PATH | OFlags::CLOEXEC,
        mode(0),
    ))
}

/// Shows a mount at `target`, with users' ids that are [`SHIFT`] higher.
#[track_caller]
pub fn show(mount: OwnedFd, target: &Path) -> Mounted {
    map_ids(&mount);
    ok(move_mount(
        &mount,
        "",
        CWD,
        target,
        MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH,
    ));
    Mounted::adopt(target)
}
