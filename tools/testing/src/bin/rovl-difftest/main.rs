// SPDX-License-Identifier: GPL-2.0
//! Random differential testing: the same steps on two identical sets of layers, one mounted by each
//! of two types, with the results, the trees and the layers compared.

mod actor;
mod generate;
mod image;
mod intended;
mod live;
mod memory;
mod operation;
mod parameter;
mod request;
mod run;
mod script;
mod shrink;
mod side;
mod snapshot;
mod tests;
mod tool;
mod tree;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use clap::Parser;
use run::{Difference, Failed, Outcome, Settings};
use script::Script;

/// Time between two lines that tell how far a run has come.
const PROGRESS: Duration = Duration::from_secs(20);

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
    #[arg(long, value_name = "N", default_value_t = 300)]
    length: usize,

    /// End after this time, even if there were fewer operations
    #[arg(long, value_name = "SECONDS")]
    seconds: Option<u64>,

    /// How many sequences may differ before it ends
    #[arg(long, value_name = "N", default_value_t = 1)]
    failures: usize,

    /// Seconds to spend on shortening a script that differs
    #[arg(long, value_name = "SECONDS", default_value_t = 180)]
    patience: u64,

    /// Change the layers of the second type while it is mounted, and compare it with a plain tree
    #[arg(long)]
    live: bool,

    /// With --live: how many changes of the layers are among the operations, about
    #[arg(long, value_name = "N", default_value_t = 400)]
    changes: usize,

    /// Run the scripts in these files instead (repeatable)
    #[arg(long, value_name = "FILE")]
    replay: Vec<PathBuf>,

    /// Run the scripts in this directory and three short random runs as tests
    #[arg(long, value_name = "DIR")]
    tests: Option<PathBuf>,

    /// With --tests: only those with this in their names
    #[arg(default_value = "")]
    filter: String,

    /// Print what the sides saw at each step of the scripts, up to the first difference
    #[arg(long)]
    transcript: bool,

    /// Print the script of the first sequence instead of running it. With --live it is made while it runs
    #[arg(long, conflicts_with = "live")]
    print: bool,

    /// Tell at the end how many operations of each kind succeeded
    #[arg(long)]
    counts: bool,

    /// Ask this command, rovl, about the layers of each mount, and compare with what it shows
    #[arg(long, value_name = "PROGRAM")]
    tool: Option<PathBuf>,

    /// Directory with a directory for each file system: ext4, xfs, tmpfs
    #[arg(long, value_name = "DIR", default_value = "/scratch")]
    scratch: PathBuf,
}

struct Machine {
    options: Options,
    settings: Settings,
}

fn main() -> ExitCode {
    let options = Options::parse();
    let Ok(kinds) = <[String; 2]>::try_from(options.types.clone()) else {
        eprintln!("rovl-difftest: --types takes two names with a comma between them");
        return ExitCode::from(2);
    };
    let settings = Settings {
        scratch: options.scratch.clone(),
        kinds,
        tool: options.tool.clone(),
        images: Default::default(),
    };
    let machine = Machine { options, settings };
    let outcome = if let Some(dir) = &machine.options.tests {
        tests::run(&machine.settings, dir, &machine.options.filter)
    } else if machine.options.replay.is_empty() {
        machine.random()
    } else {
        machine.replay()
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
        run::run(&self.settings, script)
    }

    /// The random sequence `seed`, and what came of it.
    fn sequence(&self, seed: u64, length: usize) -> Result<(Script, Outcome), Failed> {
        if self.options.live {
            let every = self.options.operations / self.options.changes.max(1);
            let every = u32::try_from(every).unwrap_or(u32::MAX);
            return live::random(&self.settings, seed, live::Plan { length, every });
        }
        let script = generate::script(seed, length);
        let outcome = self.run(&script)?;
        Ok((script, outcome))
    }

    fn replay(&self) -> Result<bool, Failed> {
        let mut same = true;
        for file in &self.options.replay {
            match self.replay_one(file)? {
                Some(found) => {
                    print!("{}: step {}: {found}", file.display(), found.steps);
                    same = false;
                }
                None => println!("{}: no difference", file.display()),
            }
        }
        Ok(same)
    }

    fn replay_one(&self, file: &Path) -> Result<Option<Difference>, Failed> {
        let text = std::fs::read_to_string(file)
            .map_err(|error| Failed(format!("{}: {error}", file.display())))?;
        let script = Script::parse(&text).map_err(Failed)?;
        let outcome = self.run(&script)?;
        if self.options.transcript {
            print!("{}", transcript(&outcome.texts));
        }
        Ok(outcome.difference)
    }

    fn random(&self) -> Result<bool, Failed> {
        let length = self.options.length.max(1);
        let first = self.options.seed.unwrap_or_else(clock_seed);
        if self.options.print {
            print!("{}", generate::script(first, length));
            return Ok(true);
        }
        println!("seed {first}");
        let mut progress = Progress::new(self.options.operations);
        let mut differences = 0;
        let mut seed = first;
        while !self.finished(&progress) {
            let (script, outcome) = self
                .sequence(seed, length)
                .map_err(|Failed(message)| Failed(format!("seed {seed}: {message}")))?;
            progress.add(&outcome, seed);
            if let Some(found) = outcome.difference {
                self.report(seed, &script, &found);
                differences += 1;
                if differences >= self.options.failures {
                    break;
                }
            }
            seed = seed.wrapping_add(1);
        }
        progress.end(self.options.counts, differences);
        Ok(differences == 0)
    }

    fn finished(&self, progress: &Progress) -> bool {
        let time = self.options.seconds.map(Duration::from_secs);
        progress.done >= self.options.operations
            || time.is_some_and(|time| progress.start.elapsed() >= time)
    }

    fn report(&self, seed: u64, script: &Script, found: &Difference) {
        print!("seed {seed}, step {}: {found}", found.steps);
        let patience = Duration::from_secs(self.options.patience);
        if patience.is_zero() {
            return;
        }
        let differs = |script: &Script| {
            let outcome = self.run(script);
            matches!(
                outcome,
                Ok(Outcome {
                    difference: Some(_),
                    ..
                })
            )
        };
        let short = shrink::shrink(script, found.steps, patience, differs);
        match self.run(&short).ok().and_then(|outcome| outcome.difference) {
            Some(found) => print!("shortened, step {}: {found}", found.steps),
            None => println!("the difference did not come again"),
        }
        println!("# these lines in a file, for make difftest REPLAY=FILE:\n{short}");
    }
}

/// How far a run has come.
struct Progress {
    start: Instant,
    told: Instant,
    wanted: usize,
    done: usize,
    succeeded: usize,
    kinds: BTreeMap<String, (usize, usize)>,
}

impl Progress {
    fn new(wanted: usize) -> Self {
        Self {
            start: Instant::now(),
            told: Instant::now(),
            wanted,
            done: 0,
            succeeded: 0,
            kinds: BTreeMap::new(),
        }
    }

    fn add(&mut self, outcome: &Outcome, seed: u64) {
        for (name, (done, succeeded)) in &outcome.operations {
            self.done += done;
            self.succeeded += succeeded;
            let entry = self.kinds.entry(name.clone()).or_default();
            entry.0 += done;
            entry.1 += succeeded;
        }
        if self.told.elapsed() >= PROGRESS {
            self.told = Instant::now();
            println!(
                "{} of {}, {}, seed {seed}",
                self.done,
                self.wanted,
                self.rate()
            );
        }
    }

    fn rate(&self) -> String {
        let seconds = self.start.elapsed().as_secs_f64().max(0.001);
        format!(
            "{:.0} a second, {} % succeeded",
            self.done as f64 / seconds,
            100 * self.succeeded / self.done.max(1)
        )
    }

    fn end(&self, counts: bool, differences: usize) {
        if counts {
            for (name, (done, succeeded)) in &self.kinds {
                println!("{name:12} {succeeded:6} of {done:6}");
            }
        }
        println!(
            "{} operations, {}, {differences} sequences differ",
            self.done,
            self.rate()
        );
    }
}

/// The lines that both sides wrote, then the first that differ.
fn transcript(texts: &[String; 2]) -> String {
    let [a, b] = texts.each_ref().map(|text| text.lines());
    let mut shown = String::new();
    for (a, b) in a.zip(b) {
        shown.push_str(&format!("{a}\n"));
        if a != b {
            shown.push_str(&format!("{b}\n"));
            break;
        }
    }
    shown
}

/// A seed that is another one in each run.
fn clock_seed() -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    now.map_or(0, |now| now.as_millis() as u64 % 1_000_000_000)
}
