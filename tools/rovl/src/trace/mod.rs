// SPDX-License-Identifier: GPL-2.0

//! What overlays do while one looks on: the tracepoints of the module, in an instance of tracefs of its own,
//! and the counters of mounts, taken again and again.

mod event;
mod instance;
mod line;
mod mounts;
mod sample;
mod tally;

pub use event::{CopyUp, Lookup, Seen, Sync};
pub use instance::{systems, Instance, Wake, TRACEFS};
pub use line::{Line, Lines};
pub use mounts::Mounts;
pub use sample::{MountSample, Numbers, Sampler, Snapshot};
pub use tally::{Process, Tally};

/// A time for people, in the unit that fits: `812 ns`, `1.5 ms`, `2.0 s`.
pub fn duration(ns: u64) -> String {
    let units = [(1_000_000_000, "s"), (1_000_000, "ms"), (1_000, "us")];
    match units.iter().find(|(unit, _)| ns >= *unit) {
        Some((unit, name)) => {
            let (whole, rest) = (ns / unit, ns % unit);
            format!("{whole}.{} {name}", rest.saturating_mul(10) / unit)
        }
        None => format!("{ns} ns"),
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn durations() {
        let shown = [0, 999, 1_000, 1_550_000, 61_000_000_000].map(super::duration);
        assert_eq!(shown, ["0 ns", "999 ns", "1.0 us", "1.5 ms", "61.0 s"]);
    }
}
