// SPDX-License-Identifier: GPL-2.0

//! FS_IOC_GETFSUUID: the UUID of a file system, which file handles of overlays have in them.

use rustix::fd::{AsFd, AsRawFd};
use rustix::io::Errno;

/// `_IOR(0x15, 0, struct fsuuid2)`
const FS_IOC_GETFSUUID: libc::c_ulong = 0x8011_1500;

/// `struct fsuuid2`
#[repr(C)]
struct FsUuid {
    len: u8,
    uuid: [u8; 16],
}

/// The UUID of the file system that `file` is on, which has to be open for reading. Zeros stand for none.
pub fn fs_uuid(file: impl AsFd) -> Result<ondisk::uuid::Uuid, Errno> {
    let mut answer = FsUuid {
        len: 0,
        uuid: ondisk::uuid::NULL,
    };
    // SAFETY: the argument is the structure that the request fills.
    let result =
        unsafe { libc::ioctl(file.as_fd().as_raw_fd(), FS_IOC_GETFSUUID, &raw mut answer) };
    if result != 0 {
        return Err(super::last_errno());
    }
    // A shorter one is followed by zeros, as in the kernel.
    Ok(answer.uuid)
}
