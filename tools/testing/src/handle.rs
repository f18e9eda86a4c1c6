// SPDX-License-Identifier: GPL-2.0
//! File handles, and opening objects by them.

use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::path::{Path, PathBuf};

use rustix::fs::OFlags;
use rustix::io::Errno;

use crate::ops::{self, ok};
use crate::overlay_xattr::{expected_origin, fid_handle};

/// Type of an overlay's handles.
pub const KIND: i32 = 0xf8;
/// Type of the handles of old kernels, without padding before the handle of the layer.
pub const KIND_UNPADDED: i32 = 0xfb;
/// `AT_HANDLE_CONNECTABLE`
pub const CONNECTABLE: i32 = 2;

/// A file handle (`struct file_handle`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Handle {
    /// Its type.
    pub kind: i32,
    /// Its bytes.
    pub bytes: Vec<u8>,
}

impl Handle {
    /// The handle of `path`, for being opened by it.
    #[track_caller]
    pub fn of(path: impl AsRef<Path>) -> Self {
        ok(Self::with_flags(path, 0))
    }

    /// The handle that `name_to_handle_at()` makes with `flags`.
    pub fn with_flags(path: impl AsRef<Path>, flags: i32) -> Result<Self, Errno> {
        let (kind, bytes) = fid_handle(path.as_ref(), 128, flags)?;
        Ok(Self { kind, bytes })
    }

    /// What the overlay makes of the object `real` of a layer.
    #[track_caller]
    pub fn expected(real: &Path, upper: bool) -> Self {
        let mut bytes = vec![0; 3];
        bytes.extend(expected_origin(real));
        if upper {
            bytes[6] |= 4;
        }
        Self { kind: KIND, bytes }
    }

    /// Opens the object (`open_by_handle_at()`), below the mount that `place` is on.
    pub fn open(&self, place: &Path, flags: OFlags) -> Result<OwnedFd, Errno> {
        let mount = ops::open(place, OFlags::RDONLY | OFlags::DIRECTORY);
        self.open_below(&mount, flags)
    }

    /// Opens the object on the mount that the open file `mount` is on.
    pub fn open_below(&self, mount: &OwnedFd, flags: OFlags) -> Result<OwnedFd, Errno> {
        #[repr(C)]
        struct Raw {
            bytes: u32,
            kind: i32,
            data: [u8; 128],
        }
        let mut raw = Raw {
            bytes: ok(u32::try_from(self.bytes.len())),
            kind: self.kind,
            data: [0; 128],
        };
        raw.data[..self.bytes.len()].copy_from_slice(&self.bytes);
        let flags = flags | OFlags::CLOEXEC;
        // SAFETY: the handle has as many bytes as its first field says.
        let fd = unsafe {
            libc::syscall(
                libc::SYS_open_by_handle_at,
                mount.as_raw_fd(),
                &raw const raw,
                flags.bits(),
            )
        };
        if fd < 0 {
            let code = std::io::Error::last_os_error().raw_os_error();
            return Err(code.map_or(Errno::IO, Errno::from_raw_os_error));
        }
        // SAFETY: a new descriptor, which nobody else has.
        Ok(unsafe { OwnedFd::from_raw_fd(ok(i32::try_from(fd))) })
    }

    /// Opens the file for reading.
    #[track_caller]
    pub fn open_read(&self, place: &Path) -> OwnedFd {
        ok(self.open(place, OFlags::RDONLY))
    }

    /// Contents of the file.
    #[track_caller]
    pub fn read(&self, place: &Path) -> Vec<u8> {
        ops::read_fd(self.open_read(place))
    }

    /// Path of the directory, as the kernel shows it of a descriptor.
    #[track_caller]
    pub fn path(&self, place: &Path) -> PathBuf {
        let fd = ok(self.open(place, OFlags::RDONLY | OFlags::DIRECTORY));
        ok(std::fs::read_link(format!(
            "/proc/self/fd/{}",
            fd.as_raw_fd()
        )))
    }

    /// The errno of opening what cannot be found any more.
    #[track_caller]
    pub fn refusal(&self, place: &Path) -> Errno {
        ops::errno(self.open(place, OFlags::PATH))
    }
}

/// Has the kernel forget all names and inodes that nobody uses.
pub fn forget() {
    ok(std::fs::write("/proc/sys/vm/drop_caches", "2"));
}
