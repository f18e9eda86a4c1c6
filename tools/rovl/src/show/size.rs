// SPDX-License-Identifier: GPL-2.0

//! Numbers for people.

/// A number of bytes in the unit that fits: `512 B`, `1.5 KiB`, `2.0 GiB`.
pub fn size(bytes: u64) -> String {
    const UNITS: [&str; 6] = ["KiB", "MiB", "GiB", "TiB", "PiB", "EiB"];
    if bytes < 1024 {
        return format!("{bytes} B");
    }
    // Tenths of the unit; in integers, so that no rounding makes 1024.0 KiB.
    let mut shift = 10_u32;
    let mut unit = UNITS[0];
    for next in UNITS.iter().skip(1) {
        if bytes >> shift < 1024 {
            break;
        }
        shift += 10;
        unit = next;
    }
    let whole = bytes >> shift;
    let tenths = ((bytes >> (shift - 10)) & 1023) * 10 / 1024;
    format!("{whole}.{tenths} {unit}")
}

/// A time in the unit that fits: `512 ns`, `16.3 us`, `1.0 s`.
pub fn nanoseconds(ns: u64) -> String {
    match ns {
        0..1_000 => format!("{ns} ns"),
        1_000..1_000_000 => format!("{}.{} us", ns / 1_000, ns / 100 % 10),
        1_000_000..1_000_000_000 => format!("{}.{} ms", ns / 1_000_000, ns / 100_000 % 10),
        _ => format!("{}.{} s", ns / 1_000_000_000, ns / 100_000_000 % 10),
    }
}

/// How many names of a file are not in the upper layer.
pub fn names_below(number: u32) -> String {
    match number {
        1 => "1 other name of this file is in lower layers only".to_owned(),
        _ => format!("{number} other names of this file are in lower layers only"),
    }
}

/// `1 file`, `2 files`: a number with what it counts, whose plural has an s.
pub fn count(number: u64, what: &str) -> String {
    match number {
        1 => format!("1 {what}"),
        _ => format!("{number} {what}s"),
    }
}

#[cfg(test)]
mod tests {
    use super::{count, nanoseconds, size};

    #[test]
    fn sizes() {
        let cases = [
            (0, "0 B"),
            (1023, "1023 B"),
            (1024, "1.0 KiB"),
            (1536, "1.5 KiB"),
            ((1 << 20) - 1, "1023.9 KiB"),
            (2 << 30, "2.0 GiB"),
            (u64::MAX, "15.9 EiB"),
        ];
        for (bytes, shown) in cases {
            assert_eq!(size(bytes), shown);
        }
    }

    #[test]
    fn times() {
        let cases = [
            (999, "999 ns"),
            (16_384, "16.3 us"),
            (2_097_152, "2.0 ms"),
            (1 << 40, "1099.5 s"),
        ];
        for (ns, shown) in cases {
            assert_eq!(nanoseconds(ns), shown);
        }
    }

    #[test]
    fn counts() {
        assert_eq!(count(1, "file"), "1 file");
        assert_eq!(count(0, "file"), "0 files");
    }
}
