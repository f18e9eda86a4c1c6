// SPDX-License-Identifier: GPL-2.0

//! name_to_handle_at(2) and open_by_handle_at(2): objects of a file system by what never changes of them.

use rustix::fd::{AsFd, AsRawFd, FromRawFd, OwnedFd};
use rustix::fs::OFlags;
use rustix::io::Errno;

/// The longest handle (`MAX_HANDLE_SZ`).
const MAX_LEN: usize = 128;

/// `struct file_handle`, with room for the longest one.
#[repr(C)]
struct Raw {
    len: u32,
    kind: i32,
    bytes: [u8; MAX_LEN],
}

/// What a file system knows an object by.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct FileHandle {
    /// Its type.
    pub kind: i32,
    /// Its bytes.
    pub bytes: Vec<u8>,
}

impl FileHandle {
    /// The handle of what is open as `object`.
    pub fn of(object: impl AsFd) -> Result<Self, Errno> {
        let mut raw = Raw {
            len: MAX_LEN as u32,
            kind: 0,
            bytes: [0; MAX_LEN],
        };
        let mut mount: libc::c_int = 0;
        // SAFETY: the path is a C string, the handle has as much room as its first member says, and the
        // number of the mount has its room, too.
        let result = unsafe {
            libc::syscall(
                libc::SYS_name_to_handle_at,
                object.as_fd().as_raw_fd(),
                c"".as_ptr(),
                &raw mut raw,
                &raw mut mount,
                libc::AT_EMPTY_PATH,
            )
        };
        if result < 0 {
            return Err(super::last_errno());
        }
        let len = usize::try_from(raw.len).unwrap_or(MAX_LEN);
        Ok(Self {
            kind: raw.kind,
            bytes: raw.bytes.get(..len).unwrap_or_default().to_vec(),
        })
    }

    /// Opens the object for its path only (`O_PATH`), in the file system that `place` is on. It takes
    /// `CAP_DAC_READ_SEARCH`.
    pub fn open(&self, place: impl AsFd) -> Result<OwnedFd, Errno> {
        let mut raw = Raw {
            len: u32::try_from(self.bytes.len()).map_err(|_| Errno::OVERFLOW)?,
            kind: self.kind,
            bytes: [0; MAX_LEN],
        };
        let room = raw.bytes.get_mut(..self.bytes.len());
        room.ok_or(Errno::OVERFLOW)?.copy_from_slice(&self.bytes);
        let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        // SAFETY: the handle has as many bytes as its first member says.
        let fd = unsafe {
            libc::syscall(
                libc::SYS_open_by_handle_at,
                place.as_fd().as_raw_fd(),
                &raw const raw,
                flags.bits(),
            )
        };
        let fd = i32::try_from(fd).map_err(|_| Errno::IO)?;
        if fd < 0 {
            return Err(super::last_errno());
        }
        // SAFETY: a new descriptor, which nobody else has.
        Ok(unsafe { OwnedFd::from_raw_fd(fd) })
    }
}

#[cfg(test)]
mod tests {
    use super::FileHandle;
    use rustix::io::Errno;
    use std::fs::File;

    #[test]
    fn handles_lead_back() {
        let dir = tempfile::tempdir().expect("a directory");
        let file = File::create(dir.path().join("file")).expect("a file");
        let handle = match FileHandle::of(&file) {
            Ok(handle) => handle,
            Err(errno) => return println!("skipped: no file handles here: {errno}"),
        };
        let dir = File::open(dir.path()).expect("the directory");
        match handle.open(&dir) {
            Ok(found) => assert_eq!(FileHandle::of(&found), Ok(handle.clone())),
            Err(errno) => return println!("skipped: may not open handles: {errno}"),
        }
        let mut damaged = handle;
        damaged.bytes.extend([0; 200]);
        assert_eq!(damaged.open(&dir).err(), Some(Errno::OVERFLOW));
        damaged.bytes.clear();
        assert!(damaged.open(&dir).is_err());
    }
}
