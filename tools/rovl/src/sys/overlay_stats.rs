// SPDX-License-Identifier: GPL-2.0

//! ROVL_IOC_GET_STATS: the counters of a mount.

use ioctls::stats::Stats;
use ioctls::{request, Exchange};
use rustix::fd::{AsFd, AsRawFd};
use rustix::io::Errno;

/// The counters of the mount that `file` is on, which has to be open for more than its path. What is not
/// ours, the in-tree module too, gives `ENOTTY`.
pub fn overlay_stats(file: impl AsFd) -> Result<Stats, Errno> {
    let mut bytes = vec![0; Stats::LEN];
    Stats::new().put(&mut bytes);
    // SAFETY: there are as many bytes as the structure says that there are.
    let result = unsafe {
        libc::ioctl(
            file.as_fd().as_raw_fd(),
            request::GET_STATS.into(),
            bytes.as_mut_ptr(),
        )
    };
    if result != 0 {
        return Err(super::last_errno());
    }
    Ok(Stats::from_bytes(&bytes))
}

#[cfg(test)]
mod tests {
    #[test]
    fn others_have_none() {
        let file = std::fs::File::open("/proc/self").expect("a directory");
        assert!(super::overlay_stats(file).is_err());
    }
}
