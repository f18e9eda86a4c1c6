// SPDX-License-Identifier: GPL-2.0
//! What is measured: one module for each group of the table.

mod changes;
mod copy_up;
pub mod directories;
mod features;
mod files;
pub mod live;
mod lookup;
pub mod many_layers;
pub mod mark;
pub mod mounts;
mod processes;
mod slow;
mod sync;
mod walk;

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rovl_testing::ops::ok;
use rustix::time::{clock_gettime, ClockId};

use crate::tree::Trees;

/// How long something took that was done so many times.
pub struct Taken {
    time: Duration,
    /// How many times.
    pub count: usize,
}

/// What makes an operation: its name, the number of repetitions, and the function that does it.
type Kind<F> = (&'static str, usize, F);

/// A function that needs to know no more than that.
type Plain = fn(&Trees, usize, usize) -> Taken;

type Run = Box<dyn Fn(&Trees, usize, usize) -> Taken>;

/// An operation with its name.
pub struct Operation {
    /// Heading in the table.
    pub group: &'static str,
    /// Name in the table.
    pub name: String,
    /// How often it is done in one round.
    pub repetitions: usize,
    /// What the ratio may be at most, if that is not what it is for all.
    pub limit: Option<f64>,
    /// Does it on one side about so many times.
    pub run: Run,
}

impl Operation {
    fn new(
        group: &'static str,
        name: impl Into<String>,
        repetitions: usize,
        run: impl Fn(&Trees, usize, usize) -> Taken + 'static,
    ) -> Self {
        Self {
            group,
            name: name.into(),
            repetitions,
            limit: None,
            run: Box::new(run),
        }
    }

    /// The same with a limit of its own.
    fn at_most(mut self, ratio: f64) -> Self {
        self.limit = Some(ratio);
        self
    }

    /// Heading and name, which filters are compared with.
    pub fn title(&self) -> String {
        format!("{}: {}", self.group, self.name)
    }
}

impl Taken {
    /// Nothing yet.
    fn none() -> Self {
        Self {
            time: Duration::ZERO,
            count: 0,
        }
    }

    /// Both together.
    fn add(&mut self, other: Self) {
        self.time += other.time;
        self.count += other.count;
    }

    /// Nanoseconds for each repetition.
    pub fn nanoseconds(&self) -> f64 {
        self.time.as_nanos() as f64 / self.count.max(1) as f64
    }
}

/// All operations, in the order of the table.
pub fn all() -> Vec<Operation> {
    [
        lookup::all(),
        walk::all(),
        files::all(),
        directories::all(),
        changes::all(),
        copy_up::all(),
        slow::all(),
        processes::all(),
        mounts::all(),
        many_layers::all(),
        sync::all(),
        features::all(),
        live::all(),
    ]
    .into_iter()
    .flatten()
    .collect()
}

/// Does `body` with the numbers below `count`.
///
/// Only the time of this thread counts: not that of interrupts, of other threads, and of waiting for
/// a disk, which has nothing to do with the type and differs from time to time.
pub fn timed(count: usize, mut body: impl FnMut(usize)) -> Taken {
    let now = || {
        let now = clock_gettime(ClockId::ThreadCPUTime);
        Duration::new(now.tv_sec as u64, now.tv_nsec as u32)
    };
    mark::start();
    let start = now();
    for n in 0..count {
        body(n);
    }
    let time = now().saturating_sub(start);
    mark::end();
    Taken { time, count }
}

/// Does `body` with the numbers below `count`. All time counts.
fn timed_by_clock(count: usize, mut body: impl FnMut(usize)) -> Taken {
    mark::start();
    let start = Instant::now();
    for n in 0..count {
        body(n);
    }
    let time = start.elapsed();
    mark::end();
    Taken { time, count }
}

/// Does `body` with each path once.
fn once_each(paths: &[PathBuf], mut body: impl FnMut(&Path)) -> Taken {
    timed(paths.len(), |n| body(&paths[n]))
}

/// Does `body` with the paths in turn, `count` times altogether, after each has been met once.
fn in_turn(paths: &[PathBuf], count: usize, mut body: impl FnMut(&Path)) -> Taken {
    paths.iter().for_each(|path| body(path));
    timed(count, |n| body(&paths[n % paths.len()]))
}

/// Paths below `dir` whose names are `name` with a number.
fn numbered(dir: &Path, name: &str, count: usize) -> Vec<PathBuf> {
    (0..count).map(|n| dir.join(format!("{name}{n}"))).collect()
}

/// Makes the kernel forget the dentries and inodes that it can forget. What was used last it forgets
/// only when asked again.
pub fn drop_caches() {
    for _ in 0..3 {
        ok(std::fs::write("/proc/sys/vm/drop_caches", "2"));
    }
}
