// SPDX-License-Identifier: GPL-2.0

//! What a mount of ours has counted.

use super::overlay::{mount_id, Overlay};
use crate::sys::ask;
use ioctls::histogram::Histogram;
use ioctls::request::GET_STATS;
use ioctls::stats::Stats;
use rustix::fs::{openat, Mode, OFlags, CWD};

/// The counters of a mount, if it has some and can be reached: something else may be mounted over it.
pub fn counters(overlay: &Overlay) -> Option<Stats> {
    let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
    let root = openat(CWD, &overlay.mount.point, flags, Mode::empty()).ok()?;
    if mount_id(&root).ok()? != overlay.mount.id {
        return None;
    }
    ask(&root, GET_STATS, &Stats::new()).ok()
}

/// The time in nanoseconds that `percent` of all that was counted took less than, if something was.
pub fn quantile(histogram: &Histogram, percent: u64) -> Option<u64> {
    let all: u64 = histogram
        .iter()
        .fold(0, |sum, count| sum.saturating_add(*count));
    let wanted = u128::from(all) * u128::from(percent);
    let mut seen = 0_u128;
    for (power, count) in histogram.iter().enumerate() {
        seen += u128::from(*count) * 100;
        if *count > 0 && seen >= wanted {
            return Some(2_u64 << power);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::quantile;
    use ioctls::histogram::BUCKETS;

    #[test]
    fn quantiles() {
        let mut histogram = [0; BUCKETS];
        assert_eq!(quantile(&histogram, 50), None);
        histogram[3] = 98;
        histogram[10] = 2;
        assert_eq!(quantile(&histogram, 50), Some(16));
        assert_eq!(quantile(&histogram, 98), Some(16));
        assert_eq!(quantile(&histogram, 99), Some(2048));
        assert_eq!(quantile(&[u64::MAX; BUCKETS], 0), Some(2));
    }
}
