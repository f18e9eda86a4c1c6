// SPDX-License-Identifier: GPL-2.0
//! What `statmount(2)` tells of a mount.

use std::path::Path;

use crate::ops::ok;

const SYS_STATMOUNT: libc::c_long = 457;
const STATX_MNT_ID_UNIQUE: u32 = 0x4000;

const SB_BASIC: u64 = 0x1;
const MNT_ROOT: u64 = 0x8;
const FS_TYPE: u64 = 0x20;
const MNT_OPTS: u64 = 0x80;
const FS_SUBTYPE: u64 = 0x100;
const SB_SOURCE: u64 = 0x200;
const OPT_ARRAY: u64 = 0x400;
const OPT_SEC_ARRAY: u64 = 0x800;

/// Where the strings start.
const HEADER: usize = 512;

/// The request, `struct mnt_id_req`.
#[repr(C)]
struct Request {
    size: u32,
    namespace_fd: u32,
    id: u64,
    mask: u64,
}

/// The answer.
#[derive(Debug, PartialEq, Eq)]
pub struct MountStatus {
    /// The magic number of the super block.
    pub magic: u64,
    /// Its flags.
    pub flags: u32,
    /// The type.
    pub kind: Option<Vec<u8>>,
    /// A part of the type after a dot.
    pub subtype: Option<Vec<u8>>,
    /// What is mounted.
    pub source: Option<Vec<u8>>,
    /// The root of the mount in the file system.
    pub root: Option<Vec<u8>>,
    /// The options, in one string with escapes.
    pub options: Option<Vec<u8>>,
    /// The options one by one, without escapes.
    pub option_list: Vec<Vec<u8>>,
    /// The options of security modules.
    pub security: Vec<Vec<u8>>,
}

/// The number that identifies a mount for as long as the system runs.
fn unique_id(path: &Path) -> u64 {
    let path = ok(std::ffi::CString::new(path.as_os_str().as_encoded_bytes()));
    // SAFETY: all bytes of the structure are numbers.
    let mut status: libc::statx = unsafe { std::mem::zeroed() };
    // SAFETY: the path is NUL-terminated and the structure can be written.
    let result = unsafe {
        libc::statx(
            libc::AT_FDCWD,
            path.as_ptr(),
            0,
            STATX_MNT_ID_UNIQUE,
            &raw mut status,
        )
    };
    assert_eq!(result, 0, "statx: {}", std::io::Error::last_os_error());
    status.stx_mnt_id
}

/// Asks for all about the mount that `path` is on.
pub fn statmount(path: &Path) -> MountStatus {
    let request = Request {
        size: ok(u32::try_from(size_of::<Request>())),
        namespace_fd: 0,
        id: unique_id(path),
        mask: SB_BASIC
            | MNT_ROOT
            | FS_TYPE
            | MNT_OPTS
            | FS_SUBTYPE
            | SB_SOURCE
            | OPT_ARRAY
            | OPT_SEC_ARRAY,
    };
    let mut answer = vec![0u8; 1 << 20];
    // SAFETY: the request has the size that it tells, and the answer the one that is passed.
    let result = unsafe {
        libc::syscall(
            SYS_STATMOUNT,
            &raw const request,
            answer.as_mut_ptr(),
            answer.len(),
            0,
        )
    };
    assert_eq!(result, 0, "statmount: {}", std::io::Error::last_os_error());
    parse(&answer)
}

fn parse(answer: &[u8]) -> MountStatus {
    let number = |at: usize| u32::from_ne_bytes(ok(answer[at..at + 4].try_into()));
    let wide = |at: usize| u64::from_ne_bytes(ok(answer[at..at + 8].try_into()));
    let mask = wide(8);
    let tail = |at: usize| answer[HEADER + number(at) as usize..].split(|byte| *byte == 0);
    let text = |bit: u64, at: usize| {
        let found = (mask & bit != 0).then(|| tail(at).next()).flatten();
        found.map(<[u8]>::to_vec)
    };
    let list = |bit: u64, count: usize, at: usize| {
        let count = if mask & bit == 0 { 0 } else { number(count) };
        tail(at).take(count as usize).map(<[u8]>::to_vec).collect()
    };
    MountStatus {
        magic: wide(24),
        flags: number(32),
        kind: text(FS_TYPE, 36),
        subtype: text(FS_SUBTYPE, 120),
        source: text(SB_SOURCE, 124),
        root: text(MNT_ROOT, 104),
        options: text(MNT_OPTS, 4),
        option_list: list(OPT_ARRAY, 128, 132),
        security: list(OPT_SEC_ARRAY, 136, 140),
    }
}
