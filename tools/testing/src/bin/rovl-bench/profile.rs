// SPDX-License-Identifier: GPL-2.0
//! Which kernel functions ran how many instructions for each side.

use std::collections::BTreeMap;
use std::io::BufRead;
use std::path::PathBuf;

use clap::Args;

use crate::report::MARK;
use crate::results::Results;

/// What is read and printed.
#[derive(Debug, Args)]
pub struct Options {
    /// What the plugin wrote: address, instructions of each side
    #[arg(long, value_name = "FILE")]
    counts: PathBuf,

    /// How many functions are printed
    #[arg(long, value_name = "N", default_value_t = 40)]
    lines: usize,
}

/// What the guest said.
struct Output {
    results: Results,
    /// Functions by their addresses.
    symbols: BTreeMap<u64, String>,
}

impl Output {
    fn read(input: impl BufRead) -> Result<Self, String> {
        let mut results = None;
        let mut symbols = BTreeMap::new();
        for line in input.lines() {
            let line = line.map_err(|error| format!("cannot read the guest's output: {error}"))?;
            if let Some(json) = line.trim_end().strip_prefix(MARK) {
                let parsed = serde_json::from_str(json);
                results = Some(parsed.map_err(|error| format!("the results: {error}"))?);
            } else if let Some((address, name)) = symbol(&line) {
                symbols.insert(address, name);
            }
        }
        if symbols.is_empty() {
            return Err("the guest's output has no symbols of the kernel".to_owned());
        }
        let results = results.ok_or("the guest gave no results")?;
        Ok(Self { results, symbols })
    }

    fn function(&self, address: u64) -> &str {
        let before = self.symbols.range(..=address).next_back();
        before.map_or("?", |(_, name)| name)
    }
}

/// A function in a line of /proc/kallsyms.
fn symbol(line: &str) -> Option<(u64, String)> {
    let mut words = line.split_whitespace();
    let (address, kind, name) = (words.next()?, words.next()?, words.next()?);
    let address = u64::from_str_radix(address, 16).ok()?;
    let name = format!("{:#}", rustc_demangle::demangle(name));
    matches!(kind, "t" | "T" | "w" | "W").then_some((address, name))
}

/// Prints the functions that differ most.
pub fn print(options: &Options) -> Result<(), String> {
    let output = Output::read(std::io::stdin().lock())?;
    let counts = std::fs::read_to_string(&options.counts)
        .map_err(|error| format!("{}: {error}", options.counts.display()))?;
    let mut functions: BTreeMap<&str, [u64; 2]> = BTreeMap::new();
    let mut sum = [0; 2];
    for line in counts.lines() {
        let (address, sides) = counted(line).ok_or(format!("this is no count: {line}"))?;
        let function = functions.entry(output.function(address)).or_default();
        for (side, count) in sides.into_iter().enumerate() {
            function[side] += count;
            sum[side] += count;
        }
    }
    for op in &output.results.operations {
        println!("{}, {} rounds", op.title(), output.results.rounds);
    }
    let [first, second] = &output.results.types;
    println!("\n{first:>12}{second:>13}{:>12}  instructions of", "more");
    let mut functions: Vec<_> = functions.into_iter().collect();
    functions.sort_by_key(|(_, [first, second])| std::cmp::Reverse(first.abs_diff(*second)));
    print_line("all", sum);
    for (name, sides) in functions.into_iter().take(options.lines) {
        print_line(name, sides);
    }
    Ok(())
}

fn counted(line: &str) -> Option<(u64, [u64; 2])> {
    let mut words = line.split(' ');
    let address = u64::from_str_radix(words.next()?, 16).ok()?;
    Some((
        address,
        [words.next()?.parse().ok()?, words.next()?.parse().ok()?],
    ))
}

fn print_line(name: &str, [first, second]: [u64; 2]) {
    let more = i128::from(second) - i128::from(first);
    println!("{first:>12}{second:>13}{more:>+12}  {name}");
}
