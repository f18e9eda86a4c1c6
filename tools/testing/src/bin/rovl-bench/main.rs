// SPDX-License-Identifier: GPL-2.0
//! Compares two overlay file system types by the time that operations take in the same boot.
//!
//! Every round runs each operation on both types, one right after the other and in turns of who is
//! first, so that what else happens on the machine meets both. The result of an operation is the
//! median of the ratios of all rounds.

mod operations;
mod report;
mod tree;

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Instant;

use clap::Parser;
use operations::Operation;
use report::{Row, Table};
use tree::Trees;

/// Measures overlay file system types against each other. Needs root.
#[derive(Debug, Parser)]
#[command(about, disable_version_flag = true)]
struct Options {
    /// Two types: the one to compare with, and the one under test
    #[arg(
        long,
        value_name = "A,B",
        default_value = "overlay,rovl",
        value_delimiter = ','
    )]
    types: Vec<String>,

    /// How often each operation is measured
    #[arg(long, value_name = "N", default_value_t = 9)]
    rounds: usize,

    /// Largest ratio that is not a failure
    #[arg(long, value_name = "RATIO", default_value_t = 1.25)]
    limit: f64,

    /// Directory for the layers; on a tmpfs the file system below costs least
    #[arg(long, value_name = "DIR", default_value = "/scratch/tmpfs")]
    base: PathBuf,

    /// Factor on the number of repetitions in a round
    #[arg(long, value_name = "FACTOR", default_value_t = 1.0)]
    scale: f64,

    /// Measure only operations whose name has this in it
    #[arg(value_name = "FILTER")]
    filter: Option<String>,
}

fn main() -> ExitCode {
    let options = Options::parse();
    let types = match checked_types(&options) {
        Ok(types) => types,
        Err(message) => {
            eprintln!("rovl-bench: {message}");
            return ExitCode::from(2);
        }
    };
    let base = options.base.join("rovl-bench");
    let _ = std::fs::remove_dir_all(&base);
    let table = measure(&options, &types, &base);
    let _ = std::fs::remove_dir_all(&base);
    print!("{table}");
    let above = table.above(options.limit);
    if above.is_empty() {
        println!("no ratio is above {}", options.limit);
        return ExitCode::SUCCESS;
    }
    println!("above {}: {}", options.limit, above.join(", "));
    ExitCode::FAILURE
}

fn checked_types(options: &Options) -> Result<[String; 2], String> {
    let [first, second] = options.types.as_slice() else {
        return Err("--types takes two names with a comma between them".to_owned());
    };
    if options.rounds == 0 {
        return Err("--rounds has to be at least 1".to_owned());
    }
    if !rustix::process::geteuid().is_root() {
        return Err("the layers are mounted: run this as root in a guest".to_owned());
    }
    let known = std::fs::read_to_string("/proc/filesystems").map_err(|error| error.to_string())?;
    for kind in [first, second] {
        if !known
            .lines()
            .any(|line| line.split_whitespace().last() == Some(kind))
        {
            return Err(format!(
                "the kernel has no type {kind:?}: load its module first"
            ));
        }
    }
    if !options.base.is_dir() {
        let base = options.base.display();
        return Err(format!("{base} is not a directory: give one with --base"));
    }
    Ok([first.clone(), second.clone()])
}

fn measure(options: &Options, types: &[String; 2], base: &Path) -> Table {
    let start = Instant::now();
    eprintln!("making the layers below {}", base.display());
    let trees = Trees::new(base, types);
    let operations: Vec<Operation> = operations::all()
        .into_iter()
        .filter(|op| {
            options
                .filter
                .as_ref()
                .is_none_or(|part| op.name.contains(part))
        })
        .collect();
    let mut rows: Vec<Row> = operations
        .iter()
        .map(|op| Row::new(op.name.clone()))
        .collect();
    for round in 0..=options.rounds {
        // The first round warms caches up and is not counted.
        match round {
            0 => eprintln!("warming up"),
            _ => eprintln!(
                "round {round} of {} after {} s",
                options.rounds,
                start.elapsed().as_secs()
            ),
        }
        for (operation, row) in operations.iter().zip(&mut rows) {
            let count = ((operation.repetitions as f64 * options.scale) as usize).max(1);
            let mut times = [0.0; 2];
            for turn in 0..2 {
                let side = (turn + round) % 2;
                let taken = (operation.run)(&trees, side, count);
                times[side] = taken.as_nanos() as f64 / count as f64;
            }
            if round > 0 {
                row.add(times);
            }
        }
    }
    Table::new(types, rows)
}
