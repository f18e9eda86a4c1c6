// SPDX-License-Identifier: GPL-2.0
//! Loops of operations that a power cut interrupts. An overlay has to show, at the next mount by
//! either type, the tree as it was before or after one of the operations, and as fsync promised.

mod check;
mod kill;
mod live;
mod log;
mod operation;
mod plan;
mod replay;
mod scenario;
mod site;
mod state;
mod sums;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// Loops that are cut off, and the check of their disks. Needs root and a throw-away machine.
#[derive(Debug, Parser)]
#[command(about, disable_version_flag = true)]
struct Options {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Logs the writes of each loop, and cuts it off at places of the log
    Replay {
        /// Cuts of each loop on each file system
        #[arg(long, default_value_t = 50)]
        cuts: usize,
        /// What operations and cuts are drawn from
        #[arg(long)]
        seed: Option<u64>,
        /// Types of overlays that are cut off
        #[arg(long = "type", default_values_t = ["overlay".to_owned(), "rovl".to_owned()])]
        kinds: Vec<String>,
        /// The module is one that must be caught: each loop has to be found damaged
        #[arg(long)]
        broken: bool,
        /// A part of the names of the loops
        #[arg(default_value = "")]
        filter: String,
    },
    /// Runs each loop on a disk of its own, until the machine is killed
    Work {
        /// What operations are drawn from
        #[arg(long)]
        seed: u64,
        /// A disk for each line of `list`
        disks: Vec<PathBuf>,
    },
    /// Prints the loops of `work`
    List,
    /// Looks at the disks of machines that were killed
    Check {
        /// What operations were drawn from, for the first machine; one more for each later one
        #[arg(long)]
        seed: u64,
        /// All disks of all machines, one after the other
        #[arg(long)]
        disks: PathBuf,
        /// What `work` printed, for each machine
        progress: Vec<PathBuf>,
    },
}

fn main() -> ExitCode {
    match Options::parse().command {
        Command::Replay {
            cuts,
            seed,
            kinds,
            broken,
            filter,
        } => {
            let seed = seed.unwrap_or_else(|| fastrand::u64(..1_000_000));
            replay::run(&replay::Task {
                cuts,
                seed,
                kinds,
                broken,
                filter,
            })
        }
        Command::Work { seed, disks } => kill::work(seed, &disks),
        Command::List => kill::list(),
        Command::Check {
            seed,
            disks,
            progress,
        } => kill::check(seed, &disks, &progress),
    }
}
