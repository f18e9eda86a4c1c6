// SPDX-License-Identifier: GPL-2.0
//! Compares two overlay file system types by the time that operations take in the same boot.
//!
//! Every round runs each operation on both types, one right after the other and in turns of who is
//! first, so that what else happens on the machine meets both. The result of an operation is the
//! median of the ratios of all rounds. The guest measures, and the host reports.

mod chart;
mod memory;
mod operations;
mod profile;
mod rates;
mod report;
mod results;
mod scale;
mod tree;

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Instant;

use clap::{Args, Parser, Subcommand};
use results::Results;
use tree::Trees;

/// Measures overlay file system types against each other.
#[derive(Debug, Parser)]
#[command(about, disable_version_flag = true)]
struct Options {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Measure; for root in a guest. The results are printed as one line of JSON
    Measure(Measure),
    /// Read what `measure` printed, store and draw it, and fail where a ratio is above the limit
    Report(Report),
    /// Read what a plugin of QEMU counted while `measure` ran, and the guest's output: that of `measure`
    /// and the symbols of the kernel. Print where the types differ
    Profile(profile::Options),
    /// Measure what operations cost against the number of layers and of names; for root in a guest. The
    /// curves are printed as one line of JSON
    Scale(scale::Options),
    /// Read what `scale` printed, store and draw it
    ScaleReport {
        /// Directory for scale.json and scale.svg
        #[arg(long, value_name = "DIR")]
        out: PathBuf,
    },
    /// Measure how long the layers of a mount take to change, beside other ways to the same end; for root in a
    /// guest. Fails where something takes longer than it may
    Rates(rates::Options),
    /// List what can be measured
    List,
}

/// The types that are compared.
#[derive(Debug, Args)]
struct Types {
    /// Two types: the one to compare with, and the one under test
    #[arg(
        long,
        value_name = "A,B",
        default_value = "overlay,rovl",
        value_delimiter = ','
    )]
    types: Vec<String>,
}

#[derive(Debug, Args)]
struct Measure {
    #[command(flatten)]
    types: Types,

    /// How often each operation is measured; if even, each type is the first equally often
    #[arg(long, value_name = "N", default_value_t = 4)]
    rounds: usize,

    /// Directory whose subdirectories tmpfs, ext4 and xfs are for the layers
    #[arg(long, value_name = "DIR", default_value = "/scratch")]
    scratch: PathBuf,

    /// Factor on the number of repetitions in a round
    #[arg(long, value_name = "FACTOR", default_value_t = 1)]
    scale: usize,

    /// What a nanosecond of the guest's clock is, to be told with the results
    #[arg(long, value_name = "NAME", default_value = "wall clock")]
    clock: String,

    /// Measure only what has this in its name, after `^` at its beginning, before `$` at its end; memory is `memory`
    #[arg(value_name = "FILTER", default_value = "")]
    filter: String,
}

#[derive(Debug, Args)]
struct Report {
    /// Directory for results.json and results.svg
    #[arg(long, value_name = "DIR")]
    out: PathBuf,

    /// Largest ratio that is not a failure, of rows without a limit of their own
    #[arg(long, value_name = "RATIO", default_value_t = 1.10)]
    limit: f64,

    /// Do not fail for ratios above the limit
    #[arg(long)]
    informational: bool,
}

fn main() -> ExitCode {
    let result = match Options::parse().command {
        Command::Measure(options) => measure(&options).map(|()| ExitCode::SUCCESS),
        Command::Report(options) => report(&options),
        Command::Profile(options) => profile::print(&options).map(|()| ExitCode::SUCCESS),
        Command::Scale(options) => scale::measure(&options).map(|()| ExitCode::SUCCESS),
        Command::Rates(options) => rates::measure(&options),
        Command::ScaleReport { out } => scale::report(&out).map(|()| ExitCode::SUCCESS),
        Command::List => {
            for operation in operations::all() {
                println!("{}", operation.title());
            }
            Ok(ExitCode::SUCCESS)
        }
    };
    result.unwrap_or_else(|message| {
        eprintln!("rovl-bench: {message}");
        ExitCode::from(2)
    })
}

fn report(options: &Report) -> Result<ExitCode, String> {
    let above = report::report(std::io::stdin().lock(), &options.out, options.limit)?;
    if above.is_empty() {
        println!(
            "no ratio is above its limit, {} for rows without one",
            options.limit
        );
        return Ok(ExitCode::SUCCESS);
    }
    println!(
        "above the limit, {} for rows without one of their own:",
        options.limit
    );
    for line in above {
        println!("  {line}");
    }
    Ok(if options.informational {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

fn measure(options: &Measure) -> Result<(), String> {
    let types = checked_types(options)?;
    tree::clean(&options.scratch);
    let mut results = Results {
        kernel: rustix::system::uname()
            .release()
            .to_string_lossy()
            .into_owned(),
        clock: options.clock.clone(),
        processors: std::thread::available_parallelism().map_or(1, usize::from),
        operations: operations(options, &types)?,
        rounds: options.rounds,
        memory: Vec::new(),
        slabs: memory::slabs(),
        types,
    };
    tree::clean(&options.scratch);
    if "memory".contains(&options.filter) {
        eprintln!("measuring memory");
        results.memory = memory::measure(&options.scratch, &results.types);
        tree::clean(&options.scratch);
    }
    let json = serde_json::to_string(&results).map_err(|error| error.to_string())?;
    println!("{}{json}", report::MARK);
    Ok(())
}

impl Types {
    /// Both, if they can be mounted here.
    fn checked(&self) -> Result<[String; 2], String> {
        let [first, second] = self.types.as_slice() else {
            return Err("--types takes two names with a comma between them".to_owned());
        };
        if !rustix::process::geteuid().is_root() {
            return Err("the layers are mounted: run this as root in a guest".to_owned());
        }
        let known =
            std::fs::read_to_string("/proc/filesystems").map_err(|error| error.to_string())?;
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
        Ok([first.clone(), second.clone()])
    }
}

fn checked_types(options: &Measure) -> Result<[String; 2], String> {
    if options.rounds == 0 || options.scale == 0 {
        return Err("--rounds and --scale have to be at least 1".to_owned());
    }
    let types = options.types.checked()?;
    for fs in ["tmpfs", "ext4", "xfs"] {
        let dir = options.scratch.join(fs);
        if !dir.is_dir() {
            let dir = dir.display();
            return Err(format!("{dir} is not a directory: choose with --scratch"));
        }
    }
    Ok(types)
}

/// Whether `title` has `filter` in it: at its beginning after a `^`, at its end before a `$`.
fn is_meant(title: &str, filter: &str) -> bool {
    let text = filter.strip_prefix('^').unwrap_or(filter);
    let text = text.strip_suffix('$').unwrap_or(text);
    title.contains(text)
        && (!filter.starts_with('^') || title.starts_with(text))
        && (!filter.ends_with('$') || title.ends_with(text))
}

fn operations(options: &Measure, types: &[String; 2]) -> Result<Vec<results::Operation>, String> {
    let start = Instant::now();
    let trees = Trees::new(&options.scratch, types);
    let operations: Vec<operations::Operation> = operations::all()
        .into_iter()
        .filter(|op| is_meant(&op.title(), &options.filter))
        .collect();
    if operations.is_empty() && !"memory".contains(&options.filter) {
        return Err(format!(
            "nothing has {:?} in its name: see rovl-bench list",
            options.filter
        ));
    }
    let mut rows: Vec<results::Operation> = operations
        .iter()
        .map(|op| results::Operation::new(op.group, &op.name, op.limit))
        .collect();
    for round in 0..=options.rounds {
        // The first round makes the layers, warms caches up and is not counted.
        eprintln!(
            "round {round} of {} after {} s",
            options.rounds,
            start.elapsed().as_secs()
        );
        for (operation, row) in operations.iter().zip(&mut rows) {
            let count = operation.repetitions * options.scale;
            let mut times = [0.0; 2];
            for turn in 0..2 {
                let side = (turn + round) % 2;
                operations::mark::count_for((round > 0).then_some(side));
                times[side] = (operation.run)(&trees, side, count).nanoseconds();
            }
            if round > 0 {
                row.add(times);
            }
        }
    }
    Ok(rows)
}
