// SPDX-License-Identifier: GPL-2.0
//! Roles that do things at the same time, and a watch that sees when one of them hangs.

use std::io::Write as _;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use fastrand::Rng;

use crate::progress::Progress;

/// Something that is done again and again, with whatever result.
pub struct Role<'a> {
    name: String,
    step: Box<dyn Fn(&mut Rng) + Sync + 'a>,
}

impl<'a> Role<'a> {
    /// A role that repeats `step`.
    pub fn new(name: impl Into<String>, step: impl Fn(&mut Rng) + Sync + 'a) -> Self {
        Self {
            name: name.into(),
            step: Box::new(step),
        }
    }
}

/// How often a role took its step.
#[derive(Debug)]
pub struct Steps {
    /// Name of the role.
    pub role: String,
    /// Number of steps.
    pub count: u64,
}

/// Runs all roles at once, each in a thread of its own, for `time`. `seed` decides what each of them
/// tries, not how they meet.
///
/// A role that takes longer than `patience` for one step hangs; what counts is the machine's
/// progress, since on a busy host all take long. A thread that hangs in the kernel
/// cannot be ended: where it hangs goes to the kernel's log, and the process exits with 3.
pub fn run(roles: &[Role<'_>], seed: u64, time: Duration, patience: Duration) -> Vec<Steps> {
    let stop = AtomicBool::new(false);
    let counts: Vec<AtomicU64> = roles.iter().map(|_| AtomicU64::new(0)).collect();
    thread::scope(|scope| {
        let workers: Vec<_> = roles
            .iter()
            .zip(&counts)
            .zip(seed..)
            .map(|((role, count), seed)| {
                let stop = &stop;
                scope.spawn(move || {
                    let mut rng = Rng::with_seed(seed);
                    while !stop.load(Ordering::Relaxed) {
                        (role.step)(&mut rng);
                        count.fetch_add(1, Ordering::Relaxed);
                    }
                })
            })
            .collect();
        let start = Instant::now();
        let mut watch = Watch::new(roles, &counts, patience);
        while start.elapsed() < time && !workers.iter().any(|worker| worker.is_finished()) {
            thread::sleep(Duration::from_millis(20).min(time));
            watch.look(|_| true);
        }
        stop.store(true, Ordering::Relaxed);
        while !workers.iter().all(|worker| worker.is_finished()) {
            thread::sleep(Duration::from_millis(5));
            watch.look(|n| !workers[n].is_finished());
        }
    });
    roles
        .iter()
        .zip(counts)
        .map(|(role, count)| Steps {
            role: role.name.clone(),
            count: count.into_inner(),
        })
        .collect()
}

struct Watch<'a> {
    roles: &'a [Role<'a>],
    counts: &'a [AtomicU64],
    seen: Vec<(u64, Duration)>,
    progress: Progress,
    patience: Duration,
}

impl<'a> Watch<'a> {
    fn new(roles: &'a [Role<'a>], counts: &'a [AtomicU64], patience: Duration) -> Self {
        let mut progress = Progress::new();
        Self {
            roles,
            counts,
            seen: vec![(0, progress.now()); roles.len()],
            progress,
            patience,
        }
    }

    fn look(&mut self, at_work: impl Fn(usize) -> bool) {
        let now = self.progress.now();
        for (n, (seen, since)) in self.seen.iter_mut().enumerate() {
            let count = self.counts[n].load(Ordering::Relaxed);
            if count != *seen || !at_work(n) {
                (*seen, *since) = (count, now);
            } else if now.saturating_sub(*since) > self.patience {
                hangs(&self.roles[n].name, count);
            }
        }
    }
}

fn hangs(role: &str, count: u64) -> ! {
    println!("HANG: {role} has not come back from its step {count}");
    let _ = std::io::stdout().flush();
    // What is blocked, what runs, which locks are held.
    for key in ["w", "l", "d"] {
        let _ = std::fs::write("/proc/sysrq-trigger", key);
    }
    let text = format!("<2>LEAK: the role {role} hangs, see the blocked tasks above\n");
    let _ = std::fs::write("/dev/kmsg", text);
    std::process::exit(3)
}
