// SPDX-License-Identifier: GPL-2.0
//! What an operation costs against the number of layers and of names, as curves: of both types, and of
//! the file system below.

mod chart;
mod layers;
mod names;

use std::io::{BufRead, Write as _};
use std::path::{Path, PathBuf};

use clap::Args;
use serde::{Deserialize, Serialize};

use crate::operations::Taken;
use crate::results::median;
use crate::tree::Pair;
use crate::Types;

/// What the line with the curves begins with.
const MARK: &str = "curves: ";
/// The name of the line of the file system below.
const BARE: &str = "the layer alone";

/// How curves are measured.
#[derive(Debug, Args)]
pub struct Options {
    #[command(flatten)]
    types: Types,

    /// How often each point is measured
    #[arg(long, value_name = "N", default_value_t = 3)]
    rounds: usize,

    /// Directory for the layers, which a tmpfs for them is mounted on
    #[arg(long, value_name = "DIR", default_value = "/scratch/tmpfs")]
    scratch: PathBuf,

    /// The largest numbers of layers and of names
    #[arg(
        long,
        value_name = "LAYERS,NAMES",
        default_value = "500,1000000",
        value_delimiter = ','
    )]
    largest: Vec<usize>,
}

/// All curves of a run.
#[derive(Debug, Serialize, Deserialize)]
struct Curves {
    /// `uname -r` of the guest.
    kernel: String,
    curves: Vec<Curve>,
}

/// What one operation costs.
#[derive(Debug, Serialize, Deserialize)]
struct Curve {
    title: String,
    /// What the points are numbers of.
    across: String,
    at: Vec<usize>,
    lines: Vec<Line>,
}

/// Nanoseconds of the guest's clock for one operation at each point.
#[derive(Debug, Serialize, Deserialize)]
struct Line {
    name: String,
    nanoseconds: Vec<f64>,
}

/// How an operation is measured.
struct Kind {
    title: &'static str,
    /// On one side of the mounts.
    run: fn(&Pair, usize) -> Taken,
    /// On the lowest layer itself, where that means something.
    bare: Option<fn(&Pair) -> Taken>,
}

/// Measures all curves, and prints them as a line of JSON.
pub fn measure(options: &Options) -> Result<(), String> {
    let &[layers, names] = options.largest.as_slice() else {
        return Err("--largest takes two numbers with a comma between them".to_owned());
    };
    if options.rounds == 0 || layers == 0 || names == 0 {
        return Err("--rounds and --largest have to be at least 1".to_owned());
    }
    let types = options.types.checked()?;
    let mut curves = layers::measure(&options.scratch, &types, options.rounds, layers);
    curves.extend(names::measure(
        &options.scratch,
        &types,
        options.rounds,
        names,
    ));
    let all = Curves {
        kernel: rustix::system::uname()
            .release()
            .to_string_lossy()
            .into_owned(),
        curves,
    };
    let json = serde_json::to_string(&all).map_err(|error| error.to_string())?;
    println!("{MARK}{json}");
    Ok(())
}

/// Takes a guest's output, writes `scale.json` and `scale.svg` to `dir`, and prints the numbers.
pub fn report(dir: &Path) -> Result<(), String> {
    let mut found = None;
    for line in std::io::stdin().lock().lines() {
        let line = line.map_err(|error| format!("cannot read the guest's output: {error}"))?;
        match line.trim_end().strip_prefix(MARK) {
            Some(json) => {
                let curves: Curves = serde_json::from_str(json)
                    .map_err(|error| format!("the curves cannot be understood: {error}"))?;
                found = Some(curves);
            }
            None => {
                println!("{}", line.trim_end());
                let _ = std::io::stdout().flush();
            }
        }
    }
    let all = found.ok_or("the guest gave no curves; what it said is above")?;
    let json = serde_json::to_string_pretty(&all).map_err(|error| error.to_string())?;
    std::fs::create_dir_all(dir).map_err(|error| format!("{}: {error}", dir.display()))?;
    for (name, text) in [("scale.json", json), ("scale.svg", chart::draw(&all))] {
        let path = dir.join(name);
        std::fs::write(&path, text + "\n")
            .map_err(|error| format!("{}: {error}", path.display()))?;
    }
    all.curves.iter().for_each(print);
    println!(
        "\nnanoseconds of a clock that counts instructions, for one operation; drawn in {}/scale.svg",
        dir.display()
    );
    Ok(())
}

fn print(curve: &Curve) {
    print!("\n{:<40}", format!("{}, {}", curve.title, curve.across));
    for at in &curve.at {
        print!(" {at:>10}");
    }
    println!();
    for line in &curve.lines {
        print!("  {:<38}", line.name);
        for time in &line.nanoseconds {
            print!(" {time:>10.0}");
        }
        println!();
    }
}

/// Measures `kinds` on the mounts that `make` makes for each of the numbers `at`, and removes them with `remove`.
fn curves(
    kinds: &[Kind],
    across: &str,
    at: &[usize],
    types: &[String; 2],
    rounds: usize,
    make: impl Fn(usize) -> (Pair, PathBuf),
) -> Vec<Curve> {
    let mut curves: Vec<Curve> = kinds.iter().map(|kind| kind.curve(across, types)).collect();
    for &number in at {
        eprintln!("{number} {across}");
        let (pair, dir) = make(number);
        for (kind, curve) in kinds.iter().zip(&mut curves) {
            curve.at.push(number);
            kind.measure(&pair, rounds, curve);
        }
        drop(pair);
        rovl_testing::ops::ok(std::fs::remove_dir_all(dir));
    }
    curves
}

impl Kind {
    fn curve(&self, across: &str, [first, second]: &[String; 2]) -> Curve {
        let mut names = vec![first.clone(), second.clone()];
        if self.bare.is_some() {
            names.push(BARE.to_owned());
        }
        let line = |name| Line {
            name,
            nanoseconds: Vec::new(),
        };
        Curve {
            title: self.title.to_owned(),
            across: across.to_owned(),
            at: Vec::new(),
            lines: names.into_iter().map(line).collect(),
        }
    }

    /// Adds a point to each line: the median of all rounds, in which both types take turns.
    fn measure(&self, pair: &Pair, rounds: usize, curve: &mut Curve) {
        let mut times = vec![Vec::new(); curve.lines.len()];
        for round in 0..rounds {
            for turn in 0..2 {
                let side = (turn + round) % 2;
                times[side].push((self.run)(pair, side).nanoseconds());
            }
            if let Some(bare) = self.bare {
                times[2].push(bare(pair).nanoseconds());
            }
        }
        for (line, times) in curve.lines.iter_mut().zip(times) {
            line.nanoseconds.push(median(&times));
        }
    }
}
