// SPDX-License-Identifier: GPL-2.0
//! The machine as a part of the test suite: kept scripts, and three short random runs, each a test in
//! the words of libtest.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use crate::run::{self, Failed, Settings};
use crate::script::Script;
use crate::{clock_seed, generate, live};

/// Time of each of the random runs. One sequence is run in any case.
const TIME: Duration = Duration::from_secs(12);
/// Operations of one sequence: few, because sequences are not cut off and some kernels are slow.
const LENGTH: usize = 40;
/// One change of the layers in so many steps of the run with such changes.
const LIVE_EVERY: u32 = 8;
/// Seed of the run that is always the same.
const SEED: u64 = 1;
/// Seed of the run in which layers change. `make difftest LIVE=1` is for new ones: what the plain tree does not know of
/// is still found.
const LIVE_SEED: u64 = 1;

/// Runs the scripts in `dir` and the random runs, those with `filter` in their names. False if one
/// failed.
pub fn run(settings: &Settings, dir: &Path, filter: &str) -> Result<bool, Failed> {
    let mut scripts: Vec<PathBuf> = std::fs::read_dir(dir)
        .map_err(|error| Failed(format!("{}: {error}", dir.display())))?
        .filter_map(|entry| entry.ok().map(|entry| entry.path()))
        .filter(|path| {
            path.extension()
                .is_some_and(|extension| extension == "script")
        })
        .collect();
    scripts.sort();
    let mut failures = Vec::new();
    let mut test = |name: &str, body: &dyn Fn() -> Result<(), String>| {
        if !name.contains(filter) {
            return;
        }
        let outcome = body();
        let result = if outcome.is_ok() { "ok" } else { "FAILED" };
        println!("test {name} ... {result}");
        failures.extend(
            outcome
                .err()
                .map(|text| format!("---- {name} ----\n{text}\n")),
        );
    };
    for path in scripts {
        let name = path.file_stem().unwrap_or_default().to_string_lossy();
        test(&name, &|| replay(settings, &path));
    }
    test("random_fixed", &|| random(settings, SEED));
    test("random_fresh", &|| random(settings, clock_seed()));
    test("random_live", &|| random_live(settings, LIVE_SEED));
    if failures.is_empty() {
        return Ok(true);
    }
    println!("failures:\n\n{}\ntest result: FAILED", failures.join("\n"));
    Ok(false)
}

fn replay(settings: &Settings, path: &Path) -> Result<(), String> {
    let text = std::fs::read_to_string(path).map_err(|error| error.to_string())?;
    same(settings, &Script::parse(&text)?)
}

fn same(settings: &Settings, script: &Script) -> Result<(), String> {
    let outcome = run::run(settings, script).map_err(|Failed(message)| message)?;
    match outcome.difference {
        Some(found) => Err(format!("step {}: {found}", found.steps)),
        None => Ok(()),
    }
}

fn random(settings: &Settings, first: u64) -> Result<(), String> {
    let start = Instant::now();
    let mut seed = first;
    loop {
        let script = generate::script(seed, LENGTH);
        same(settings, &script).map_err(|text| format!("seed {seed}: {text}\n{script}"))?;
        if start.elapsed() >= TIME {
            return Ok(());
        }
        seed = seed.wrapping_add(1);
    }
}

/// The same with layers that change under the mount.
fn random_live(settings: &Settings, first: u64) -> Result<(), String> {
    let start = Instant::now();
    let plan = live::Plan {
        length: LENGTH,
        every: LIVE_EVERY,
    };
    for seed in first.. {
        let done = live::random(settings, seed, plan);
        let (script, outcome) = done.map_err(|Failed(text)| format!("seed {seed}: {text}"))?;
        if let Some(found) = outcome.difference {
            return Err(format!(
                "seed {seed}, step {}: {found}\n{script}",
                found.steps
            ));
        }
        if start.elapsed() >= TIME {
            break;
        }
    }
    Ok(())
}
