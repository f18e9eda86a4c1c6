// SPDX-License-Identifier: GPL-2.0
//! How long the changes of the layers take: the fastest of some, because what else a busy host does comes on top. `make bench-live` has
//! the medians, by a clock that counts instructions.

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

/// How often it is measured again what takes longer than it should, which a busy host may be the reason of.
const TRIES: usize = 5;

/// How many are measured.
const TIMES: usize = 15;

/// The time of the fastest checkpoint in nanoseconds.
fn fastest(m: &Live<'_>) -> u64 {
    let pairs: Vec<_> = (0..TIMES).map(|_| m.pair()).collect();
    pairs
        .iter()
        .map(|(upper, work)| {
            let start = Instant::now();
            let done = checkpoint(m.root(), upper, work, "n", 10_000);
            let time = start.elapsed().as_nanos();
            assert!(done.is_ok(), "{done:?}");
            u64::try_from(time).unwrap_or(u64::MAX)
        })
        .min()
        .unwrap_or(u64::MAX)
}

/// The times of the fastest way back, push and drop in nanoseconds.
fn fastest_others(m: &Live<'_>, new: &Path) -> [u64; 3] {
    let mut times = [u64::MAX; 3];
    let mut timed = |kind: usize, done: &mut dyn FnMut()| {
        let start = Instant::now();
        done();
        let time = u64::try_from(start.elapsed().as_nanos()).unwrap_or(u64::MAX);
        times[kind] = times[kind].min(time);
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
    times
}

/// The least of what is measured, again and again until all of it is below three times what it was `before`.
fn least<const N: usize>(before: [u64; N], mut measure: impl FnMut() -> [u64; N]) -> [u64; N] {
    let mut least = [u64::MAX; N];
    for _ in 0..TRIES {
        let measured = measure();
        least = std::array::from_fn(|n| least[n].min(measured[n]));
        if (0..N).all(|n| least[n] < before[n].saturating_mul(3)) {
            break;
        }
    }
    least
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
    let without = fastest_others(&m, &new);
    let look = || {
        for n in 0..count {
            let _ = stat(m.path(format!("{}/{n}", n % 50)));
        }
    };
    look();
    let held: Vec<_> = (0..t.scaled(500).min(900))
        .map(|n| open(m.path(format!("{}/{n}", n % 50)), OFlags::RDONLY))
        .collect();
    let cached = least(without, || fastest_others(&m, &new));
    println!(
        "# roll back, push, drop: {without:?} ns, with {count} names and {} open files {cached:?} ns",
        held.len()
    );
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
    let without = fastest(&m);
    for n in 0..count {
        let _ = stat(m.path(format!("{}/{n}", n % 50)));
    }
    let [names] = least([without], || [fastest(&m)]);
    // As many as a process may have open.
    let held: Vec<_> = (0..t.scaled(500).min(900))
        .map(|n| {
            let path = m.path(format!("open{n}"));
            write(&path, "");
            open(path, OFlags::RDWR)
        })
        .collect();
    let files = fastest(&m);
    println!(
        "# checkpoint: {without} ns, with {count} names {names} ns, with {} open files {files} ns",
        held.len()
    );
    assert!(names < without.saturating_mul(3), "{names} after {without}");
}
