// SPDX-License-Identifier: GPL-2.0

//! FS_IOC_MEASURE_VERITY: the digest of a file that is protected by fs-verity.

use ondisk::metacopy::MAX_DIGEST_LEN;
use rustix::fd::{AsFd, AsRawFd};
use rustix::io::Errno;

/// `_IOWR('f', 134, struct fsverity_digest)`
const FS_IOC_MEASURE_VERITY: libc::c_ulong = 0xc004_6686;

/// `struct fsverity_digest`
#[repr(C)]
struct Digest {
    algorithm: u16,
    size: u16,
    bytes: [u8; MAX_DIGEST_LEN],
}

/// The algorithm and the digest of a file, which has to be open for reading; nothing if it is not
/// protected.
pub fn measure_verity(file: impl AsFd) -> Result<Option<(u8, Vec<u8>)>, Errno> {
    let mut digest = Digest {
        algorithm: 0,
        size: MAX_DIGEST_LEN as u16,
        bytes: [0; MAX_DIGEST_LEN],
    };
    // SAFETY: the argument has room for as many bytes as it says.
    let result = unsafe {
        libc::ioctl(
            file.as_fd().as_raw_fd(),
            FS_IOC_MEASURE_VERITY,
            &raw mut digest,
        )
    };
    if result != 0 {
        return match super::last_errno() {
            Errno::NODATA | Errno::NOTTY | Errno::OPNOTSUPP => Ok(None),
            errno => Err(errno),
        };
    }
    let bytes = digest
        .bytes
        .get(..usize::from(digest.size))
        .unwrap_or_default();
    let algorithm = u8::try_from(digest.algorithm).map_err(|_| Errno::OVERFLOW)?;
    Ok(Some((algorithm, bytes.to_vec())))
}
