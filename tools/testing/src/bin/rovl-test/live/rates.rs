// SPDX-License-Identifier: GPL-2.0
//! How long the changes of the layers take. With a clock that counts instructions (`tools/vm/run --icount`) what is told is
//! what Documentation/live.rst has.

use std::path::Path;
use std::time::Instant;

use rovl_testing::ops::{open, stat, write};
use rovl_testing::stack::{checkpoint, drop_layer, push, rollback, Live};
use rovl_testing::{cases, Dir, Test};
use rustix::fs::OFlags;

use super::ours;

cases! {
    the_caches_do_not_matter,
    nor_for_the_others,
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

/// The median times of a way back, a push and a drop in nanoseconds.
fn medians(m: &Live<'_>, new: &Path) -> [u64; 3] {
    let mut times = [Vec::new(), Vec::new(), Vec::new()];
    let mut timed = |kind: usize, done: &mut dyn FnMut()| {
        let start = Instant::now();
        done();
        times[kind].push(u64::try_from(start.elapsed().as_nanos()).unwrap_or(u64::MAX));
    };
    for number in 0..TIMES {
        let (upper, work) = m.pair();
        write(m.path(format!("new{number}")), "");
        let base = m.stack()[1];
        timed(0, &mut || {
            let done = rollback(m.root(), &upper, &work, &base, 10_000);
            assert!(done.is_ok(), "{done:?}");
        });
        timed(1, &mut || {
            let done = push(m.root(), new, "n", 10_000);
            assert!(done.is_ok(), "{done:?}");
        });
        let pushed = m.stack()[1];
        timed(2, &mut || {
            let done = drop_layer(m.root(), &pushed, 10_000);
            assert!(done.is_ok(), "{done:?}");
        });
    }
    times.map(|mut times| {
        times.sort_unstable();
        times[TIMES / 2]
    })
}

fn nor_for_the_others(t: &Test) {
    let Some(l) = ours(t) else {
        return;
    };
    let count = t.scaled(5000);
    for n in 0..count {
        l.lower(0).file(format!("{}/{n}", n % 50), "");
    }
    let new = l.root().join("new");
    Dir::at(&new).file("0/0", "new");
    let m = Live::mount(t, &l);
    m.checkpoint("base");
    let without = medians(&m, &new);
    let look = || {
        for n in 0..count {
            let _ = stat(m.path(format!("{}/{n}", n % 50)));
        }
    };
    look();
    let held: Vec<_> = (0..t.scaled(500).min(900))
        .map(|n| open(m.path(format!("{}/{n}", n % 50)), OFlags::RDONLY))
        .collect();
    let cached = medians(&m, &new);
    println!(
        "# roll back, push, drop: {without:?} ns, with {count} names and {} open files {cached:?} ns",
        held.len()
    );
    // With room for what else the machine does.
    for (cached, without) in cached.into_iter().zip(without) {
        assert!(
            cached < without.saturating_mul(3),
            "{cached} after {without}"
        );
    }
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
