// SPDX-License-Identifier: GPL-2.0
//! The extended attributes that an overlay keeps in its layers.

use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::path::Path;

use rustix::fs::{self, OFlags, CWD};
use rustix::io::Errno;

use crate::ops::{self, ok};

/// Marks a directory that hides what is below it.
pub const OPAQUE: &str = "trusted.overlay.opaque";
/// Marks a directory that may hold entries with an origin.
pub const IMPURE: &str = "trusted.overlay.impure";
/// Names the lower inode that an upper one was copied from.
pub const ORIGIN: &str = "trusted.overlay.origin";
/// Keeps the link count of an indexed file.
pub const NLINK: &str = "trusted.overlay.nlink";
/// Names the upper directory that an entry of the index is for.
pub const UPPER: &str = "trusted.overlay.upper";
/// Names another place for what is below.
pub const REDIRECT: &str = "trusted.overlay.redirect";
/// Identifies the overlay itself, on the root of the upper layer.
pub const UUID: &str = "trusted.overlay.uuid";
/// Marks a file whose data is in a layer below, with the digest of that if it has one.
pub const METACOPY: &str = "trusted.overlay.metacopy";
/// Marks a zero-size file as a whiteout.
pub const WHITEOUT: &str = "trusted.overlay.whiteout";
/// Keeps the append-only and immutable flags of a copied-up file.
pub const PROTATTR: &str = "trusted.overlay.protattr";

/// Length of the header of an origin value.
const HEADER: usize = 21;
/// `FS_IOC_GETFSUUID`: `_IOR(0x15, 0, struct fsuuid2)`.
const FS_IOC_GETFSUUID: libc::c_ulong = 0x8011_1500;

/// Short text for an extended attribute.
pub fn describe(name: &str, value: &[u8]) -> String {
    match name.strip_prefix("trusted.overlay.") {
        Some("origin") if value.is_empty() || well_formed(value) => "origin".to_owned(),
        Some("upper") if well_formed(value) => "upper".to_owned(),
        Some("origin") => format!("malformed origin {value:02x?}"),
        Some(short) => format!("{short}={}", String::from_utf8_lossy(value)),
        None if value.iter().all(|byte| (0x20..0x7f).contains(byte)) => {
            format!("{name}={:?}", String::from_utf8_lossy(value))
        }
        None => format!("{name}={value:02x?}"),
    }
}

fn well_formed(value: &[u8]) -> bool {
    value.len() > HEADER
        && value[0] == 0
        && value[1] == 0xfb
        && usize::from(value[2]) == value.len()
        && value[3] & !7 == 0
}

/// The origin value that a copy of `lower` has to carry, byte for byte.
#[track_caller]
pub fn expected_origin(lower: &Path) -> Vec<u8> {
    ok(origin_value(lower))
}

/// The origin value of a copy of `lower`, if its file system has file handles and an identifier.
pub fn origin_value(lower: &Path) -> Result<Vec<u8>, Errno> {
    let (fid_type, fid) = fid_handle(lower, 128, 0)?;
    let mut value = vec![0, 0xfb, 0, 0];
    value.push(u8::try_from(fid_type).map_err(|_| Errno::OVERFLOW)?);
    value.extend_from_slice(&filesystem_uuid(lower)?);
    value.extend_from_slice(&fid);
    value[2] = u8::try_from(value.len()).map_err(|_| Errno::OVERFLOW)?;
    value[3] = u8::from(cfg!(target_endian = "big"));
    Ok(value)
}

/// Type and bytes of the handle that `name_to_handle_at()` makes with `flags` in `room` bytes, at
/// most 128.
pub fn fid_handle(path: &Path, room: u32, flags: i32) -> Result<(i32, Vec<u8>), Errno> {
    #[repr(C)]
    struct Handle {
        bytes: u32,
        kind: i32,
        data: [u8; 128],
    }
    let mut handle = Handle {
        bytes: room.min(128),
        kind: 0,
        data: [0; 128],
    };
    let mut mount_id = 0i32;
    let text = ok(std::ffi::CString::new(path.as_os_str().as_encoded_bytes()));
    // SAFETY: the path is a C string, and the handle has the room that its first field says.
    let result = unsafe {
        libc::syscall(
            libc::SYS_name_to_handle_at,
            CWD.as_raw_fd(),
            text.as_ptr(),
            &raw mut handle,
            &raw mut mount_id,
            flags,
        )
    };
    if result != 0 {
        let code = std::io::Error::last_os_error().raw_os_error();
        return Err(code.map_or(Errno::IO, Errno::from_raw_os_error));
    }
    let len = ok(usize::try_from(handle.bytes));
    Ok((handle.kind, handle.data[..len].to_vec()))
}

/// `open_by_handle_at()` for reading on the file system that holds `mount`.
pub fn open_handle(mount: &OwnedFd, kind: i32, bytes: &[u8]) -> Result<OwnedFd, Errno> {
    let mut handle = ok(u32::try_from(bytes.len())).to_ne_bytes().to_vec();
    handle.extend(kind.to_ne_bytes());
    handle.extend(bytes);
    // SAFETY: the handle has the bytes that its first field says, and is aligned as any allocation.
    let fd = unsafe {
        libc::syscall(
            libc::SYS_open_by_handle_at,
            mount.as_raw_fd(),
            handle.as_mut_ptr(),
            libc::O_RDONLY | libc::O_CLOEXEC,
        )
    };
    match i32::try_from(fd) {
        // SAFETY: the call gave a new descriptor, which nobody else has.
        Ok(fd) if fd >= 0 => Ok(unsafe { OwnedFd::from_raw_fd(fd) }),
        _ => {
            let code = std::io::Error::last_os_error().raw_os_error();
            Err(code.map_or(Errno::IO, Errno::from_raw_os_error))
        }
    }
}

/// Identifier of the file system that holds `path`.
fn filesystem_uuid(path: &Path) -> Result<[u8; 16], Errno> {
    let is_dir = fs::lstat(path)?.st_mode & libc::S_IFMT == libc::S_IFDIR;
    let dir = if is_dir {
        path
    } else {
        path.parent().unwrap_or(path)
    };
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let fd = fs::open(dir, flags, fs::Mode::empty())?;
    let mut answer = [0u8; 17];
    // SAFETY: the request writes a struct of 17 bytes: a length and the identifier.
    if unsafe { libc::ioctl(fd.as_raw_fd(), FS_IOC_GETFSUUID, answer.as_mut_ptr()) } != 0 {
        let code = std::io::Error::last_os_error().raw_os_error();
        return Err(code.map_or(Errno::IO, Errno::from_raw_os_error));
    }
    let mut uuid = [0u8; 16];
    uuid.copy_from_slice(&answer[1..]);
    Ok(uuid)
}

/// Name of the entry in the index for a copy of `lower`.
#[track_caller]
pub fn index_name(lower: &Path) -> String {
    use std::fmt::Write as _;
    let mut name = String::new();
    for byte in expected_origin(lower) {
        let _ = write!(name, "{byte:02x}");
    }
    name
}

/// Compares the origin of `upper` with the handle of `lower`.
#[track_caller]
pub fn assert_origin(upper: &Path, lower: &Path) {
    let seen = ok(ops::getxattr(upper, ORIGIN));
    assert_eq!(
        seen,
        expected_origin(lower),
        "origin of {}",
        upper.display()
    );
}
