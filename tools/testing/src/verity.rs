// SPDX-License-Identifier: GPL-2.0
//! fs-verity: files that cannot be changed any more, and the digests that they are known by.

use std::os::fd::{AsRawFd, OwnedFd};
use std::path::Path;

use rustix::io::Errno;

use crate::block::Image;
use crate::ops::{open_read, write};

/// `FS_VERITY_HASH_ALG_SHA256`
pub const SHA256: u8 = 1;
/// `FS_VERITY_HASH_ALG_SHA512`
pub const SHA512: u8 = 2;

/// `_IOW('f', 133, struct fsverity_enable_arg)`
const FS_IOC_ENABLE_VERITY: libc::c_ulong = 0x4080_6685;
/// `_IOWR('f', 134, struct fsverity_digest)`
const FS_IOC_MEASURE_VERITY: libc::c_ulong = 0xc004_6686;
/// The longest digest.
const MAX_DIGEST: usize = 64;

/// `struct fsverity_enable_arg`
#[repr(C)]
struct EnableArg {
    version: u32,
    hash_algorithm: u32,
    block_size: u32,
    salt_size: u32,
    salt_ptr: u64,
    sig_size: u32,
    reserved1: u32,
    sig_ptr: u64,
    reserved2: [u64; 11],
}

/// `struct fsverity_digest`
#[repr(C)]
struct Digest {
    algorithm: u16,
    size: u16,
    bytes: [u8; MAX_DIGEST],
}

/// A small ext4 whose files can have fs-verity.
pub fn image(dir: &Path) -> Image {
    Image::new(
        dir,
        32 << 20,
        "ext4",
        &["-q", "-b", "4096", "-O", "verity"],
        "",
    )
}

/// Gives a file fs-verity, after which it cannot be changed.
#[track_caller]
pub fn enable(path: impl AsRef<Path>, algorithm: u8) {
    if let Err(error) = try_enable(&open_read(&path), algorithm) {
        panic!(
            "FS_IOC_ENABLE_VERITY on {}: {error}",
            path.as_ref().display()
        );
    }
}

/// The same for an open file, if its file system can.
pub fn try_enable(file: &OwnedFd, algorithm: u8) -> Result<(), Errno> {
    let arg = EnableArg {
        version: 1,
        hash_algorithm: u32::from(algorithm),
        block_size: 4096,
        salt_size: 0,
        salt_ptr: 0,
        sig_size: 0,
        reserved1: 0,
        sig_ptr: 0,
        reserved2: [0; 11],
    };
    // SAFETY: the argument is the structure that the request reads.
    let result = unsafe { libc::ioctl(file.as_raw_fd(), FS_IOC_ENABLE_VERITY, &raw const arg) };
    done(result)
}

/// The algorithm and the digest of a file that has fs-verity.
#[track_caller]
pub fn measure(path: impl AsRef<Path>) -> (u8, Vec<u8>) {
    match try_measure(&open_read(&path)) {
        Ok(digest) => digest,
        Err(error) => panic!(
            "FS_IOC_MEASURE_VERITY on {}: {error}",
            path.as_ref().display()
        ),
    }
}

/// The same of an open file, if it has one.
pub fn try_measure(file: &OwnedFd) -> Result<(u8, Vec<u8>), Errno> {
    let mut digest = Digest {
        algorithm: 0,
        size: MAX_DIGEST as u16,
        bytes: [0; MAX_DIGEST],
    };
    // SAFETY: the argument has room for as many bytes as it says.
    let result = unsafe { libc::ioctl(file.as_raw_fd(), FS_IOC_MEASURE_VERITY, &raw mut digest) };
    done(result)?;
    let bytes = digest.bytes[..usize::from(digest.size)].to_vec();
    Ok((digest.algorithm as u8, bytes))
}

fn done(result: i32) -> Result<(), Errno> {
    if result == 0 {
        return Ok(());
    }
    let code = std::io::Error::last_os_error().raw_os_error();
    Err(code.map_or(Errno::IO, Errno::from_raw_os_error))
}

/// The value of the attribute `metacopy` for a file whose data has this digest.
pub fn metacopy_value(algorithm: u8, digest: &[u8]) -> Vec<u8> {
    let mut value = vec![0, 4 + digest.len() as u8, 0, algorithm];
    value.extend_from_slice(digest);
    value
}

/// Makes the kernel forget what it knows of files that nobody uses, the digests among that. What is not
/// written yet is not forgotten.
pub fn forget() {
    rustix::fs::sync();
    write("/proc/sys/vm/drop_caches", "3");
}
