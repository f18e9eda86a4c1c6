// SPDX-License-Identifier: GPL-2.0
//! Loops on disks of a machine that is killed, and the check of these disks in another machine.

use std::collections::BTreeMap;
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use rovl_testing::block::Loop;
use rovl_testing::ops::{self, ok};

use crate::check::{self, Progress};
use crate::plan::Plan;
use crate::scenario::{self, Scenario};
use crate::site::{self, Site};
use crate::sums::Sums;

/// Operations of a loop: more than there is time for.
const OPERATIONS: usize = 400;
/// Type of the overlays.
const KIND: &str = "rovl";

/// Each loop on each file system, a disk for each.
fn loops() -> impl Iterator<Item = (&'static Scenario, &'static str)> {
    scenario::ALL
        .iter()
        // Where it is looked at just after syncs, it is cut there.
        .filter(|scenario| !scenario.is_control && !scenario.at_syncs)
        .flat_map(|scenario| site::below(scenario).map(move |below| (scenario, below)))
}

fn name(scenario: &Scenario, below: &str) -> String {
    format!("{}, {KIND} on {below}, QEMU killed", scenario.name)
}

fn plan(scenario: &Scenario, seed: u64) -> Plan {
    let models = Path::new("/scratch/tmpfs/powercut/models");
    let _ = std::fs::remove_dir_all(models);
    let model = models.join("model");
    ok(std::fs::create_dir_all(&model));
    Plan::new(scenario, seed, OPERATIONS, &model)
}

/// Prints the loops.
pub fn list() -> ExitCode {
    loops().for_each(|(scenario, below)| println!("{}", name(scenario, below)));
    ExitCode::SUCCESS
}

/// Runs all loops at once, each on one of the empty `disks`, and prints `DISK begin:NUMBER` and
/// `DISK end:NUMBER`.
pub fn work(seed: u64, disks: &[PathBuf]) -> ExitCode {
    let sites: Vec<_> = loops()
        .zip(disks)
        .enumerate()
        .map(|(n, ((scenario, below), disk))| {
            site::make(below, disk, scenario);
            let root = Path::new("/tmp").join(n.to_string());
            let site = Site::new(disk, below, &root, scenario);
            site.populate();
            let overlay = ok(site
                .mount(KIND, false)
                .map_err(|refused| refused.describe()));
            (site, overlay, plan(scenario, seed))
        })
        .collect();
    rustix::fs::sync();
    std::thread::scope(|scope| {
        for (n, (site, overlay, plan)) in sites.iter().enumerate() {
            scope.spawn(move || {
                // One write for each line, which the host has when it returns.
                let tell = |what: &str, number: usize| {
                    let line = format!("{n} {what}:{number}\n");
                    let _ = rustix::io::write(std::io::stdout(), line.as_bytes());
                };
                if let Err(text) = site.work(KIND, overlay.root(), &plan.operations, tell) {
                    println!("{n} error {text}");
                }
            });
        }
    });
    println!("through");
    ExitCode::SUCCESS
}

/// Checks the disks that killed machines left.
pub fn check(seed: u64, disks: &Path, progress: &[PathBuf]) -> ExitCode {
    let disks = ok(File::open(disks));
    let place = Path::new("/scratch/tmpfs/powercut");
    ok(std::fs::create_dir_all(place));
    let image = place.join("image");
    let mut all: BTreeMap<usize, Sums> = BTreeMap::new();
    for (machine, progress) in progress.iter().enumerate() {
        let seed = seed + machine as u64;
        let lines = ok(std::fs::read_to_string(progress));
        for (n, (scenario, below)) in loops().enumerate() {
            let sums = all.entry(n).or_default();
            let label = format!("seed {seed}");
            let plan = plan(scenario, seed);
            let mut progress = Progress::default();
            for line in lines.lines() {
                match line.split_once(' ') {
                    Some((disk, rest)) if disk == n.to_string() => {
                        if rest.starts_with("error") {
                            sums.fail(format!("{label}: {rest}"));
                        }
                        progress.take(rest, &plan);
                    }
                    _ => (),
                }
            }
            let number = (machine * loops().count() + n) as u64;
            copy(&disks, number * site::SIZE, &image);
            let device = Loop::attach(&image);
            let site = Site::new(device.path(), below, &place.join("site"), scenario);
            let kinds = match machine % 2 {
                0 => [KIND, "overlay"],
                _ => ["overlay", KIND],
            };
            let checked = check::look(&site, &plan, progress, kinds);
            sums.add(&label, progress, 0, checked);
            site.unmount();
        }
    }
    let mut good = !all.is_empty();
    for ((scenario, below), sums) in loops().zip(all.values()) {
        good &= sums.print(&name(scenario, below), false);
    }
    if good {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}

/// Copies one disk, without the parts that are empty.
fn copy(disks: &File, start: u64, image: &Path) {
    ops::write(image, b"");
    let to = ok(File::options().write(true).open(image));
    let mut part = vec![0u8; 1 << 16];
    for at in (0..site::SIZE).step_by(part.len()) {
        ok(disks.read_exact_at(&mut part, start + at));
        if part.iter().any(|byte| *byte != 0) {
            ok(to.write_all_at(&part, at));
        }
    }
    ok(to.set_len(site::SIZE));
}
