// SPDX-License-Identifier: GPL-2.0
//! How long a checkpoint takes. With a clock that counts instructions (`tools/vm/run --icount`) what is told is
//! what Documentation/live.rst has.

use std::time::Instant;

use rovl_testing::ops::{open, stat, write};
use rovl_testing::stack::{checkpoint, Live};
use rovl_testing::{cases, Test};
use rustix::fs::OFlags;

use super::ours;

cases! {
    the_caches_do_not_matter,
}

/// How many checkpoints are measured.
const TIMES: usize = 15;

/// The time of half of them in nanoseconds.
fn median(m: &Live<'_>) -> u64 {
    let pairs: Vec<_> = (0..TIMES).map(|_| m.pair()).collect();
    let mut times: Vec<u64> = pairs
        .iter()
        .map(|(upper, work)| {
            let start = Instant::now();
            let done = checkpoint(m.root(), upper, work, "n", 10_000);
            let time = start.elapsed().as_nanos();
            assert!(done.is_ok(), "{done:?}");
            u64::try_from(time).unwrap_or(u64::MAX)
        })
        .collect();
    times.sort_unstable();
    times[TIMES / 2]
}

fn the_caches_do_not_matter(t: &Test) {
    let Some(l) = ours(t) else {
        return;
    };
    let count = t.scaled(5000);
    for n in 0..count {
        l.lower(0).file(format!("{}/{n}", n % 50), "");
    }
    let m = Live::mount(t, &l);
    let without = median(&m);
    for n in 0..count {
        let _ = stat(m.path(format!("{}/{n}", n % 50)));
    }
    let names = median(&m);
    // As many as a process may have open.
    let held: Vec<_> = (0..t.scaled(500).min(900))
        .map(|n| {
            let path = m.path(format!("open{n}"));
            write(&path, "");
            open(path, OFlags::RDWR)
        })
        .collect();
    let files = median(&m);
    println!(
        "# checkpoint: {without} ns, with {count} names {names} ns, with {} open files {files} ns",
        held.len()
    );
    // With room for what else the machine does.
    assert!(names < without.saturating_mul(3), "{names} after {without}");
}
