// SPDX-License-Identifier: GPL-2.0

//! File handles and fs-verity, as the tests put them on layers.

use std::fs::File;
use std::os::fd::AsRawFd;
use std::path::Path;

/// The file handle of an object: its type and its bytes.
pub fn handle(path: &Path) -> (i32, Vec<u8>) {
    #[repr(C)]
    struct Raw {
        len: u32,
        kind: i32,
        bytes: [u8; 128],
    }
    let mut raw = Raw {
        len: 128,
        kind: 0,
        bytes: [0; 128],
    };
    let path = std::ffi::CString::new(path.to_str().expect("text")).expect("no NUL");
    let mut mount: libc::c_int = 0;
    // SAFETY: the handle has as much room as it says, and the path is a C string.
    let result = unsafe {
        libc::syscall(
            libc::SYS_name_to_handle_at,
            libc::AT_FDCWD,
            path.as_ptr(),
            &raw mut raw,
            &raw mut mount,
            0,
        )
    };
    assert_eq!(result, 0, "{:?}", std::io::Error::last_os_error());
    (raw.kind, raw.bytes[..raw.len as usize].to_vec())
}

/// The handle of `path` as an overlay stores it, in the manner of `like`, another one of the same file
/// system.
pub fn overlay_handle(like: &[u8], path: &Path, upper: bool) -> Vec<u8> {
    let (kind, fid) = handle(path);
    let mut made = like[..21].to_vec();
    made[2] = u8::try_from(21 + fid.len()).expect("short");
    made[3] = (made[3] & !4) | if upper { 4 } else { 0 };
    made[4] = u8::try_from(kind).expect("a type");
    made.extend(fid);
    made
}

/// The name that a handle has in the index.
pub fn hex(handle: &[u8]) -> String {
    let digits: Vec<String> = handle.iter().map(|byte| format!("{byte:02x}")).collect();
    digits.concat()
}

/// Has a file protected by fs-verity, if its file system can.
pub fn enable_verity(path: &Path) -> bool {
    // `struct fsverity_enable_arg`: version, algorithm, block size, salt, signature.
    let mut arg = [0_u32; 32];
    (arg[0], arg[1], arg[2]) = (1, 1, 4096);
    let file = File::open(path).expect("the file");
    // SAFETY: the argument is as large as the structure that the request reads.
    let result = unsafe { libc::ioctl(file.as_raw_fd(), 0x4080_6685, arg.as_ptr()) };
    result == 0
}
