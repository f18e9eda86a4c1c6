// SPDX-License-Identifier: GPL-2.0
//! Random differential testing: the same steps on two identical sets of layers, one mounted by each
//! of two types, with the results, the trees and the upper layers compared.

mod generate;
mod intended;
mod operation;
mod run;
mod script;
mod shrink;
mod side;
mod snapshot;

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{SystemTime, UNIX_EPOCH};

use clap::Parser;
use run::{Difference, Failed, Outcome};
use script::Script;

/// Compares two overlay file system types by random operations. Needs root.
#[derive(Debug, Parser)]
#[command(about, disable_version_flag = true)]
struct Options {
    /// The oracle, and the type under test
    #[arg(
        long,
        value_name = "A,B",
        default_value = "overlay,rovl",
        value_delimiter = ','
    )]
    types: Vec<String>,

    /// Seed of the first sequence; the next one has the next number (default: from the clock)
    #[arg(long)]
    seed: Option<u64>,

    /// How many operations to run, in all sequences together
    #[arg(long, value_name = "N", default_value_t = 10_000)]
    operations: usize,

    /// Operations of one sequence
    #[arg(long, value_name = "N", default_value_t = 200)]
    length: usize,

    /// How many sequences may differ before it ends
    #[arg(long, value_name = "N", default_value_t = 1)]
    failures: usize,

    /// Run the script in this file instead
    #[arg(long, value_name = "FILE")]
    replay: Option<PathBuf>,

    /// Print the script of the first sequence instead of running it
    #[arg(long)]
    print: bool,

    /// Directory for the layers
    #[arg(long, value_name = "DIR", default_value = "/scratch/ext4")]
    base: PathBuf,
}

struct Machine {
    options: Options,
    kinds: [String; 2],
}

fn main() -> ExitCode {
    let options = Options::parse();
    let Ok(kinds) = <[String; 2]>::try_from(options.types.clone()) else {
        eprintln!("rovl-difftest: --types takes two names with a comma between them");
        return ExitCode::from(2);
    };
    let machine = Machine { options, kinds };
    let outcome = match &machine.options.replay {
        Some(file) => machine.replay(file),
        None => machine.random(),
    };
    match outcome {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(Failed(message)) => {
            eprintln!("rovl-difftest: {message}");
            ExitCode::from(2)
        }
    }
}

impl Machine {
    fn run(&self, script: &Script) -> Result<Outcome, Failed> {
        run::run(&self.options.base, &self.kinds, script)
    }

    fn replay(&self, file: &std::path::Path) -> Result<bool, Failed> {
        let text = std::fs::read_to_string(file)
            .map_err(|error| Failed(format!("{}: {error}", file.display())))?;
        let script = Script::parse(&text).map_err(Failed)?;
        let found = self.run(&script)?.difference;
        match &found {
            Some(difference) => print!("step {}: {difference}", difference.steps),
            None => println!("no difference in {} steps", script.steps.len()),
        }
        Ok(found.is_none())
    }

    fn random(&self) -> Result<bool, Failed> {
        let length = self.options.length.max(1);
        let first = self.options.seed.unwrap_or_else(clock_seed);
        if self.options.print {
            print!("{}", generate::script(first, length));
            return Ok(true);
        }
        println!("seed {first}");
        let sequences = self.options.operations.div_ceil(length) as u64;
        let mut differences = 0;
        let (mut done, mut succeeded) = (0, 0);
        for seed in (0..sequences).map(|number| first.wrapping_add(number)) {
            let script = generate::script(seed, length);
            let outcome = self.run(&script)?;
            done += outcome.operations;
            succeeded += outcome.succeeded;
            if let Some(found) = outcome.difference {
                self.report(seed, &script, &found);
                differences += 1;
                if differences >= self.options.failures {
                    break;
                }
            }
        }
        println!("{done} operations ({succeeded} succeeded), {differences} sequences differ");
        Ok(differences == 0)
    }

    fn report(&self, seed: u64, script: &Script, found: &Difference) {
        print!("seed {seed}, step {}: {found}", found.steps);
        let differs = |script: &Script| {
            matches!(
                self.run(script),
                Ok(Outcome {
                    difference: Some(_),
                    ..
                })
            )
        };
        let short = shrink::shrink(script, found.steps, differs);
        match self.run(&short).ok().and_then(|outcome| outcome.difference) {
            Some(found) => print!("shortened, step {}: {found}", found.steps),
            None => println!("the difference did not come again"),
        }
        println!("# these lines in a file, for rovl-difftest --replay FILE:\n{short}");
    }
}

/// A seed that is another one in each run.
fn clock_seed() -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    now.map_or(0, |now| now.as_secs())
}
