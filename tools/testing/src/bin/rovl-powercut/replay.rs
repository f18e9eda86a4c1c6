// SPDX-License-Identifier: GPL-2.0
//! Loops of which all writes are logged, and cut off afterwards, at any place of the log.

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Instant;

use fastrand::Rng;
use rovl_testing::block::{Loop, Mapped};
use rovl_testing::ops::{self, ok};

use crate::check::{self, Progress};
use crate::log::{Log, Unflushed};
use crate::plan::Plan;
use crate::scenario::{self, Scenario};
use crate::site::{self, Site};
use crate::sums::Sums;

/// Operations of a loop: few, so that there is little to recover after each cut.
const OPERATIONS: usize = 70;
/// Cuts of one run of a loop; after these it runs anew, with another seed.
const CUTS: usize = 25;
/// Room for the writes of a loop.
const LOG_SIZE: u64 = 600 << 20;
/// Where the disks are: in memory.
const PLACE: &str = "/scratch/tmpfs/powercut";
/// Marks around the loop.
const START: &str = "start";
const STOP: &str = "stop";

/// What is cut off.
pub struct Task {
    /// Cuts of each loop on each file system.
    pub cuts: usize,
    /// What the operations and the cuts are drawn from.
    pub seed: u64,
    /// Types of overlays that are cut off.
    pub kinds: Vec<String>,
    /// Whether each loop has to be found damaged.
    pub broken: bool,
    /// A part of the names of the loops.
    pub filter: String,
}

/// A loop with one type of overlay on one file system.
struct Run<'a> {
    scenario: &'a Scenario,
    below: &'a str,
    kind: &'a str,
    plan: &'a Plan,
    seed: u64,
}

/// Cuts all loops off, checks the disks and prints the sums.
pub fn run(task: &Task) -> ExitCode {
    println!("seed {}", task.seed);
    let mut good = true;
    let mut count = 0;
    let _ = std::fs::remove_dir_all(PLACE);
    for scenario in scenario::ALL {
        let mut plans = Vec::new();
        for below in site::below(scenario) {
            for kind in &task.kinds {
                let name = format!("{}, {kind} on {below}", scenario.name);
                let is_there = !scenario.is_live || kind != "overlay";
                if is_there && name.contains(&task.filter) {
                    let sums = one(task, scenario, below, kind, &mut plans);
                    good &= sums.print(&name, scenario.is_control || task.broken);
                    count += 1;
                }
            }
        }
    }
    if good && count > 0 {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}

/// Runs a loop as often as there are cuts for it.
fn one(task: &Task, scenario: &Scenario, below: &str, kind: &str, plans: &mut Vec<Plan>) -> Sums {
    let mut sums = Sums::default();
    for (round, seed) in (0..task.cuts.div_ceil(CUTS)).zip(task.seed..) {
        if plans.len() <= round {
            // With copies beside it, of a tree that has checkpoints.
            let models = Path::new(PLACE).join(format!("{}{round}", scenario.name));
            let model = models.join("model");
            ok(std::fs::create_dir_all(&model));
            plans.push(Plan::new(scenario, seed, OPERATIONS, &model));
            ok(std::fs::remove_dir_all(&models));
        }
        let run = Run {
            scenario,
            below,
            kind,
            plan: &plans[round],
            seed,
        };
        run.all(CUTS.min(task.cuts - round * CUTS), &mut sums);
    }
    sums
}

impl Run<'_> {
    fn all(&self, cuts: usize, sums: &mut Sums) {
        let start = Instant::now();
        match self.record(Path::new(PLACE)) {
            Ok(log) => {
                let (entries, flushes) = (log.len(), log.flushes());
                let recorded = start.elapsed().as_secs();
                self.cut_off(cuts, log, sums);
                println!(
                    "# {entries} entries and {flushes} flushes logged in {recorded} s, {cuts} cuts in {} s",
                    start.elapsed().as_secs() - recorded
                );
            }
            Err(text) => sums.fail(text),
        }
    }

    /// Runs the loop and gives the log of it.
    fn record(&self, place: &Path) -> Result<Log, String> {
        let (disk, log) = (place.join("disk"), place.join("log"));
        for (file, size) in [(&disk, site::SIZE), (&log, LOG_SIZE)] {
            ops::write(file, b"");
            ok(rustix::fs::ftruncate(ops::open_write(file), size));
        }
        site::make(self.below, &disk, self.scenario);
        let root = place.join("site");
        {
            let device = Loop::attach(&disk);
            let site = Site::new(device.path(), self.below, &root, self.scenario);
            site.populate();
            site.unmount();
        }
        let before = ops::read(&disk);
        let (device, log_device) = (Loop::attach(&disk), Loop::attach(&log));
        let mapped = Mapped::logged("rovl-powercut", device.path(), log_device.path());
        let site = Site::new(&mapped.path(), self.below, &root, self.scenario);
        let overlay = site
            .mount(self.kind, false)
            .map_err(|refused| refused.describe())?;
        if self.scenario.is_control {
            // Neither type waits until the mark of a volatile mount is on the disk.
            ok(rustix::fs::syncfs(ops::open_read(site.part("upper"))));
        }
        mapped.mark(START);
        site.work(
            self.kind,
            overlay.root(),
            &self.plan.operations,
            |what, n| {
                mapped.mark(&format!("{what}:{n}"));
            },
        )?;
        mapped.mark(STOP);
        check::is_complete(self.plan, &overlay, self.scenario.compares_times)?;
        overlay.unmount();
        site.unmount();
        drop((mapped, device, log_device));
        Log::read(&log, before).map_err(|error| format!("the log: {error}"))
    }

    /// Places just after the end of each operation that syncs all, before the next one begins.
    fn syncs(&self, log: &Log) -> Vec<usize> {
        let operations = self.plan.operations.iter().enumerate();
        let syncs = operations.filter(|(_, operation)| operation.syncs_all());
        let ends = syncs.filter_map(|(n, _)| log.place_of(&format!("end:{n}")));
        ends.map(|place| place + 1).collect()
    }

    fn cut_off(&self, cuts: usize, mut log: Log, sums: &mut Sums) {
        let (Some(start), Some(stop)) = (log.place_of(START), log.place_of(STOP)) else {
            sums.fail("the log is not complete".to_owned());
            return;
        };
        let mut rng = Rng::with_seed(self.seed);
        let mut places: Vec<usize> = if self.scenario.at_syncs {
            let syncs = self.syncs(&log);
            (0..cuts)
                .filter_map(|_| rng.choice(&syncs).copied())
                .collect()
        } else {
            (0..cuts).map(|_| rng.usize(start..=stop)).collect()
        };
        places.sort_unstable();
        let (image, root) = (
            PathBuf::from(PLACE).join("image"),
            Path::new(PLACE).join("site"),
        );
        let other = if self.kind == "rovl" {
            "overlay"
        } else {
            "rovl"
        };
        for (number, at) in places.into_iter().enumerate() {
            let unflushed = [Unflushed::Kept, Unflushed::Lost, Unflushed::Some][number % 3];
            let lost = ok(log.cut(at, unflushed, &mut rng, &image));
            let mut progress = Progress::default();
            for mark in log.marks(at) {
                progress.take(mark, self.plan);
            }
            let label = format!("seed {}, entry {at}, {unflushed:?}", self.seed);
            let device = Loop::attach(&image);
            let site = Site::new(device.path(), self.below, &root, self.scenario);
            let kinds = match number % 2 {
                0 => [self.kind, other],
                _ => [other, self.kind],
            };
            if self.scenario.is_control {
                sums.add_refusal(&label, check::is_refused(&site, kinds));
            }
            let checked = check::look(&site, self.plan, progress, kinds);
            sums.add(&label, progress, lost, checked);
            site.unmount();
        }
    }
}
