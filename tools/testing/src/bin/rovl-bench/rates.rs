// SPDX-License-Identifier: GPL-2.0
//! How long the layers of a mount take to change, with many names cached, many files open and processes at work,
//! beside other ways to the same end.

mod site;
mod ways;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;

use crate::results::median;
use site::{Look, Site};
use ways::Way;

/// How rates are measured.
#[derive(Debug, Args)]
pub struct Options {
    /// How often each is measured
    #[arg(long, value_name = "N", default_value_t = 15)]
    rounds: usize,

    /// Names in the tree, all of them cached
    #[arg(long, value_name = "N", default_value_t = 50_000)]
    names: usize,

    /// Files that are open, half of them for writing
    #[arg(long, value_name = "N", default_value_t = 1000)]
    files: usize,

    /// Directory whose subdirectories tmpfs and ext4 are for the layers
    #[arg(long, value_name = "DIR", default_value = "/scratch")]
    scratch: PathBuf,
}

/// What one way took each time, in microseconds.
struct Row {
    name: &'static str,
    limit: Option<f64>,
    times: Vec<f64>,
    /// What a name costs that is looked at just before, and just after.
    next: Vec<[Look; 2]>,
}

/// What the next operation may cost at most, to what it did.
const NEXT: f64 = 1.2;

/// Measures, prints a table line by line, and fails where something took longer than it may.
pub fn measure(options: &Options) -> Result<ExitCode, String> {
    println!(
        "{} names, {} open files, two busy processes: microseconds, medians of up to {} times\n",
        options.names, options.files, options.rounds
    );
    println!(
        "{:<48} {:>12} {:>8} {:>12} {:>12}",
        "", "median", "limit", "from", "to"
    );
    let mut good = true;
    for way in ways::ALL {
        good &= run(options, way)?.print();
    }
    Ok(match good {
        true => ExitCode::SUCCESS,
        false => ExitCode::FAILURE,
    })
}

impl Row {
    /// Prints it. True if it is within its limits.
    fn print(&self) -> bool {
        let from = self.times.iter().copied().fold(f64::INFINITY, f64::min);
        let to = self.times.iter().copied().fold(0.0, f64::max);
        let middle = median(&self.times);
        let limit = self
            .limit
            .map_or(String::new(), |limit| format!("{limit:.0}"));
        println!(
            "{:<48} {middle:>12.1} {limit:>8} {from:>12.1} {to:>12.1}",
            self.name
        );
        let mut good = self.limit.is_none_or(|limit| middle <= limit);
        if !self.next.is_empty() {
            let ratio = self.next(|look| look.others);
            let limit = self.limit.map_or(String::new(), |_| NEXT.to_string());
            let what = "  stat of a cached name afterwards, to before";
            println!("{what:<48} {ratio:>12.3} {limit:>8}");
            good &= self.limit.is_none() || ratio <= NEXT;
            let what = "  where the layer has the directory";
            println!("{what:<48} {:>12.3}", self.next(|look| look.changed));
        }
        good
    }

    /// What it costs afterwards, to what it did before.
    fn next(&self, which: fn(&Look) -> f64) -> f64 {
        let ratios = self
            .next
            .iter()
            .map(|[before, after]| which(after) / which(before));
        median(&ratios.collect::<Vec<f64>>())
    }
}

fn run(options: &Options, way: &Way) -> Result<Row, String> {
    let mut row = Row {
        name: way.name,
        limit: way.limit,
        times: Vec::new(),
        next: Vec::new(),
    };
    let mut site = Site::new(options, way)?;
    for number in 0..way.rounds(options.rounds) {
        (way.prepare)(&mut site, number);
        // What was prepared may have changed layers, too.
        site.look();
        let before = site.look();
        row.times
            .push(site.alone(|site| (way.change)(site, number))?);
        if way.is_same {
            row.next.push([before, site.look()]);
        }
    }
    site.end();
    Ok(row)
}
