// SPDX-License-Identifier: GPL-2.0
//! Everything at once on overlay file systems, for a time: see that nothing crashes, hangs or is
//! left behind.

mod leaks;
mod roles;
mod site;

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use clap::Parser;
use leaks::Slabs;
use rovl_testing::load;
use site::Site;

/// Runs all roles at once on each type, and looks for leaks. Needs root and a throw-away machine.
#[derive(Debug, Parser)]
#[command(about, disable_version_flag = true)]
struct Options {
    /// File system types, one after the other
    #[arg(
        long = "types",
        value_name = "A,B",
        default_value = "overlay,rovl",
        value_delimiter = ','
    )]
    types: Vec<String>,

    /// How long each type is run
    #[arg(long, value_name = "MINUTES", default_value_t = 5.0)]
    minutes: f64,

    /// What the roles try (default: from the clock)
    #[arg(long)]
    seed: Option<u64>,

    /// Directories for the layers, on different file systems; used in turn
    #[arg(
        long,
        value_name = "A,B",
        default_value = "/scratch/ext4,/scratch/xfs,/scratch/tmpfs",
        value_delimiter = ','
    )]
    bases: Vec<PathBuf>,

    /// A step that takes longer than so many seconds hangs
    #[arg(long, value_name = "SECONDS", default_value_t = 200)]
    patience: u64,

    /// Only these roles, by a part of their names
    #[arg(long, value_name = "NAME")]
    roles: Option<String>,

    /// Be a process that uses the tree in this directory until it is killed
    #[arg(long, hide = true)]
    child: Option<PathBuf>,
}

/// Length of one turn on one file system.
const TURN: f64 = 0.5;

fn main() -> ExitCode {
    let options = Options::parse();
    if let Some(root) = &options.child {
        roles::use_until_killed(root);
    }
    let mut good = true;
    for kind in &options.types {
        match stress(&options, kind) {
            Ok(()) => println!("{kind}: nothing was left behind"),
            Err(complaints) => {
                good = false;
                complaints
                    .iter()
                    .for_each(|text| println!("{kind}: {text}"));
            }
        }
    }
    if good {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}

fn stress(options: &Options, kind: &str) -> Result<(), Vec<String>> {
    let seed = options.seed.unwrap_or_else(|| {
        let now = SystemTime::now().duration_since(UNIX_EPOCH);
        now.map_or(1, |now| now.as_secs())
    });
    println!("{kind}: {} minutes, seed {seed}", options.minutes);
    let mut complaints = Vec::new();
    let mut before = None;
    let mut left = options.minutes;
    let mut turn = 0;
    while left > 0.0 {
        let Some(base) = options.bases.get(turn % options.bases.len()) else {
            break;
        };
        // The first turn is short: what a kernel allocates once is not a leak.
        let minutes = if turn == 0 { 0.1 } else { left.min(TURN) };
        complaints.extend(one_turn(
            options,
            kind,
            base,
            seed + 100 * turn as u64,
            minutes,
        ));
        before.get_or_insert_with(|| Slabs::settled(kind));
        left -= minutes;
        turn += 1;
    }
    if let Some(before) = before {
        complaints.extend(before.grown(&Slabs::settled(kind)));
    }
    if complaints.is_empty() {
        Ok(())
    } else {
        Err(complaints)
    }
}

fn one_turn(
    options: &Options,
    kind: &str,
    base: &std::path::Path,
    seed: u64,
    minutes: f64,
) -> Vec<String> {
    let site = match Site::new(kind, &base.join("rovl-stress")) {
        Ok(site) => site,
        Err(error) => return vec![format!("no mount on {}: {error}", base.display())],
    };
    let wanted = options.roles.as_deref().unwrap_or("");
    let roles = roles::all(&site, wanted);
    let time = Duration::from_secs_f64(minutes * 60.0);
    let patience = Duration::from_secs(options.patience);
    let steps = load::run(&roles, seed, time, patience);
    drop(roles);
    let counts: Vec<String> = steps
        .iter()
        .map(|steps| format!("{} {}", steps.role, steps.count))
        .collect();
    println!("{kind} on {}: {}", base.display(), counts.join(", "));
    site.finish()
}
