// SPDX-License-Identifier: GPL-2.0

//! mount_setattr(2): what a mount, and not its file system, allows.

use rustix::fd::{AsFd, AsRawFd};
use rustix::io::Errno;

/// `struct mount_attr`
#[repr(C)]
struct MountAttr {
    set: u64,
    clear: u64,
    propagation: u64,
    userns_fd: u64,
}

/// A change of a mount.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct AttrChange {
    /// `MOUNT_ATTR_*` to set.
    pub set: u64,
    /// `MOUNT_ATTR_*` to clear, before that.
    pub clear: u64,
    /// `MS_SHARED` and alike, or 0.
    pub propagation: u64,
    /// Whether the mounts below are changed, too.
    pub recursive: bool,
}

/// Changes the mount that `mount`, an open directory of it, is on. It has to be its root.
pub fn mount_setattr(mount: impl AsFd, change: AttrChange) -> Result<(), Errno> {
    let attr = MountAttr {
        set: change.set,
        clear: change.clear,
        propagation: change.propagation,
        userns_fd: 0,
    };
    let recursive = if change.recursive {
        libc::AT_RECURSIVE
    } else {
        0
    };
    let flags = libc::AT_EMPTY_PATH | recursive;
    // SAFETY: the path is a C string, and the structure has the size that is given.
    let result = unsafe {
        libc::syscall(
            libc::SYS_mount_setattr,
            mount.as_fd().as_raw_fd(),
            c"".as_ptr(),
            flags,
            &raw const attr,
            size_of::<MountAttr>(),
        )
    };
    if result == 0 {
        Ok(())
    } else {
        Err(super::last_errno())
    }
}
