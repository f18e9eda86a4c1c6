// SPDX-License-Identifier: GPL-2.0

//! How often something took how long, by powers of two.

/// The number of buckets.
pub const BUCKETS: usize = 40;

/// How often something took from 2^n nanoseconds to less than 2^(n+1), for each n. The first one has 0
/// nanoseconds, too, and the last one all that took longer.
pub type Histogram = [u64; BUCKETS];

/// The bucket of a time in nanoseconds.
pub fn bucket(ns: u64) -> usize {
    // CAST: at most 63.
    let power = ns.checked_ilog2().unwrap_or(0) as usize;
    power.min(BUCKETS - 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn powers_of_two() {
        for (ns, expected) in [
            (0, 0),
            (1, 0),
            (2, 1),
            (3, 1),
            (4, 2),
            (1_023, 9),
            (1_024, 10),
            (1 << 39, 39),
            (u64::MAX, 39),
        ] {
            assert_eq!(bucket(ns), expected, "{ns}");
        }
    }
}
