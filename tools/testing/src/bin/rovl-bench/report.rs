// SPDX-License-Identifier: GPL-2.0
//! What a person reads of the results: a table on the terminal, and a chart.

use std::fmt::Write as _;
use std::io::{BufRead, Write as _};
use std::path::Path;

use crate::chart;
use crate::operations::live;
use crate::results::Results;

/// Takes the output of a guest from `input`, where one line has the results and all others are
/// passed on, writes `results.json` and `results.svg` to `dir`, and prints the table.
///
/// Returns what is above `limit`.
pub fn report(input: impl BufRead, dir: &Path, limit: f64) -> Result<Vec<String>, String> {
    let mut results = None;
    for line in input.lines() {
        let line = line.map_err(|error| format!("cannot read the guest's output: {error}"))?;
        match line.trim_end().strip_prefix(MARK) {
            Some(json) => {
                let parsed: Results = serde_json::from_str(json)
                    .map_err(|error| format!("the results cannot be understood: {error}"))?;
                results = Some(parsed);
            }
            None => {
                println!("{}", line.trim_end());
                let _ = std::io::stdout().flush();
            }
        }
    }
    let results = results.ok_or("the guest gave no results; what it said is above")?;
    std::fs::create_dir_all(dir).map_err(|error| format!("{}: {error}", dir.display()))?;
    let json = serde_json::to_string_pretty(&results).map_err(|error| error.to_string())?;
    for (name, text) in [
        ("results.json", json),
        ("results.svg", chart::draw(&results, limit)),
    ] {
        let path = dir.join(name);
        std::fs::write(&path, text + "\n")
            .map_err(|error| format!("{}: {error}", path.display()))?;
    }
    print!("{}", table(&results));
    println!(
        "stored in {0}/results.json, drawn in {0}/results.svg",
        dir.display()
    );
    Ok(results.above(limit))
}

/// What the line with the results begins with.
pub const MARK: &str = "results: ";

fn table(results: &Results) -> String {
    let mut text = String::new();
    let [first, second] = &results.types;
    let live = format!("{second}, live");
    let mut group = "";
    for op in &results.operations {
        if op.group != group {
            group = &op.group;
            let [first, second] = match group {
                live::GROUP => [second, &live],
                _ => [first, second],
            };
            let _ = writeln!(
                text,
                "\n{group:<52} {first:>12} {second:>12} {:>7}  of all rounds",
                "ratio"
            );
        }
        let _ = writeln!(
            text,
            "  {:<50} {:>12.0} {:>12.0} {:>7.3}  {:.2} to {:.2}",
            op.name, op.medians[0], op.medians[1], op.ratio, op.range[0], op.range[1]
        );
    }
    if !results.memory.is_empty() {
        let _ = writeln!(
            text,
            "\n{:<52} {first:>12} {second:>12} {:>7}",
            "bytes of memory", "ratio"
        );
    }
    for memory in &results.memory {
        let [first, second] = memory.bytes;
        let ratio = memory.ratio();
        let _ = writeln!(
            text,
            "  {:<50} {first:>12.0} {second:>12.0} {ratio:>7.3}",
            memory.object
        );
    }
    for slab in &results.slabs {
        let _ = writeln!(
            text,
            "  slab {}: {} bytes an object, {} in a slab",
            slab.cache, slab.object, slab.per_slab
        );
    }
    let _ = writeln!(
        text,
        "\nnanoseconds of the clock ({}) for one operation, medians of {} rounds; {}, {} processor(s)",
        results.clock, results.rounds, results.kernel, results.processors
    );
    text
}
