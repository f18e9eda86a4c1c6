// SPDX-License-Identifier: GPL-2.0

//! `rovl top`: which mounts and which processes copy up, and how much.

mod screen;

use crate::exit::{self, Exit};
use crate::show::{name, size, Align, Out, Table};
use crate::sys::Signals;
use crate::trace::{systems, Instance, Numbers, Process, Sampler, Snapshot};
use anyhow::{Context, Result};
use clap::ValueEnum;
use std::io::{IsTerminal, Write};
use std::time::{Duration, Instant};

/// Show which mounts and processes copy up, live
///
/// Of mounts it shows copy ups, bytes that these copied or shared, misses (layers that were asked for a name
/// that they do not have) and syncs, from the counters of each mount: since it was mounted, and what is new. Of
/// processes it shows the same since it began, from the events of the module, which takes root. Mounts of the
/// in-tree module have no counters.
///
/// Keys: q ends it; c, b, m and s sort by copy ups, bytes, misses and syncs.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Look for one interval, show what was found, and end. With --json that is always so
    #[arg(long)]
    once: bool,
    /// How long an interval is, in seconds
    #[arg(long, value_name = "SECONDS", default_value_t = 2.0, value_parser = seconds)]
    interval: f64,
    /// What to sort by
    #[arg(long, value_name = "WHAT", default_value = "copy-ups")]
    sort: Sort,
    /// Have no events on: processes are not shown then
    #[arg(long)]
    no_processes: bool,
}

/// What the tables are sorted by, the most first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
enum Sort {
    /// Copy ups
    #[default]
    CopyUps,
    /// Bytes
    Bytes,
    /// Misses
    Misses,
    /// Syncs
    Syncs,
}

/// The events that are counted.
const EVENTS: [&str; 3] = ["copy_up_end", "lookup", "sync"];

fn seconds(text: &str) -> Result<f64, String> {
    match text.parse() {
        Ok(number) if (0.1..=3600.0).contains(&number) => Ok(number),
        _ => Err("a number from 0.1 to 3600 is needed".to_owned()),
    }
}

/// Runs the command.
pub fn run(args: &Args, out: &mut Out) -> Result<Exit> {
    let signals = Signals::new().context("cannot wait for signals")?;
    let once = args.once || out.json();
    if !once && !std::io::stdout().is_terminal() {
        return Err(exit::usage("standard output is no terminal: use --once"));
    }
    let mut sampler = Sampler::new(match args.no_processes {
        true => Err(anyhow::anyhow!("not asked for")),
        false => instance(),
    });
    let interval = Duration::from_secs_f64(args.interval);
    if !once {
        screen::run(&mut sampler, &signals, interval, args.sort)?;
        return Ok(Exit::FINE);
    }
    sampler.take()?;
    wait(&mut sampler, &signals, interval)?;
    let mut snapshot = sampler.take()?;
    sort(&mut snapshot, args.sort);
    if out.json() {
        out.document(&snapshot)?;
    } else {
        show(&snapshot, out)?;
    }
    Ok(Exit::FINE)
}

fn instance() -> Result<Instance> {
    let systems = systems()?;
    let of = |system: &&'static str| EVENTS.map(|event| (*system, event));
    let events: Vec<_> = systems.iter().flat_map(of).collect();
    Instance::new(&events)
}

/// Counts events for so long, or until a signal comes.
fn wait(sampler: &mut Sampler, signals: &Signals, interval: Duration) -> Result<()> {
    let begin = Instant::now();
    while let Some(left) = interval.checked_sub(begin.elapsed()) {
        let turn = left.min(Duration::from_millis(100));
        // Not woken by each event: there may be many.
        std::thread::sleep(turn);
        sampler.drain()?;
        if signals.has_come() {
            break;
        }
    }
    sampler.drain()
}

/// Sorts both tables.
fn sort(snapshot: &mut Snapshot, by: Sort) {
    let number = |numbers: &Numbers| match by {
        Sort::CopyUps => numbers.copy_ups,
        Sort::Bytes => numbers.bytes,
        Sort::Misses => numbers.misses,
        Sort::Syncs => numbers.syncs,
    };
    let of_process = |process: &Process| {
        number(&Numbers {
            copy_ups: process.copy_ups,
            bytes: process.bytes,
            misses: process.misses,
            syncs: process.syncs,
        })
    };
    snapshot.mounts.sort_by_key(|mount| {
        let numbers = (mount.since.as_ref(), mount.total.as_ref());
        let numbers = (numbers.0.map(number), numbers.1.map(number));
        (std::cmp::Reverse(numbers), mount.mount.clone())
    });
    snapshot
        .processes
        .sort_by_key(|process| (std::cmp::Reverse(of_process(process)), process.pid));
}

/// The headings of the tables.
const MOUNT_HEADINGS: [&str; 9] = [
    "mount", "copy ups", "+", "bytes", "+", "misses", "+", "syncs", "+",
];
const PROCESS_HEADINGS: [&str; 6] = ["process", "pid", "copy ups", "bytes", "misses", "syncs"];

/// The cells of the rows for mounts.
fn mount_rows(snapshot: &Snapshot) -> Vec<Vec<String>> {
    let rows = snapshot.mounts.iter().map(|mount| {
        let mut row = vec![name(&mount.mount.0).to_string()];
        let Some((total, since)) = mount.total.zip(mount.since) else {
            row.push("no counters".to_owned());
            return row;
        };
        let cells = [
            (total.copy_ups.to_string(), since.copy_ups.to_string()),
            (size(total.bytes), size(since.bytes)),
            (total.misses.to_string(), since.misses.to_string()),
            (total.syncs.to_string(), since.syncs.to_string()),
        ];
        for (total, since) in cells {
            row.extend([total, since]);
        }
        row
    });
    rows.collect()
}

/// The cells of the rows for processes.
fn process_rows(snapshot: &Snapshot) -> Vec<Vec<String>> {
    let rows = snapshot.processes.iter().map(|process| {
        vec![
            name(&process.comm.0).to_string(),
            process.pid.to_string(),
            process.copy_ups.to_string(),
            size(process.bytes),
            process.misses.to_string(),
            process.syncs.to_string(),
        ]
    });
    rows.collect()
}

fn show(snapshot: &Snapshot, out: &mut Out) -> std::io::Result<()> {
    table(&MOUNT_HEADINGS, mount_rows(snapshot), out)?;
    match &snapshot.remark {
        Some(remark) => writeln!(out, "\n{remark}")?,
        None => writeln!(out)?,
    }
    if !snapshot.processes.is_empty() {
        table(&PROCESS_HEADINGS, process_rows(snapshot), out)?;
    }
    Ok(())
}

fn table(headings: &[&str], rows: Vec<Vec<String>>, out: &mut Out) -> std::io::Result<()> {
    let columns = headings.iter().enumerate();
    let columns = columns.map(|(at, heading)| match at {
        0 => (*heading, Align::Left),
        _ => (*heading, Align::Right),
    });
    let mut table = Table::new(&columns.collect::<Vec<_>>());
    for row in rows {
        table.row(row);
    }
    table.show(out, 0)
}

#[cfg(test)]
mod tests {
    use super::{screen, seconds, show, sort, Sort};
    use crate::show::Out;
    use crate::trace::{MountSample, Numbers, Process, Snapshot};

    pub(super) fn snapshot() -> Snapshot {
        let numbers = |copy_ups, bytes| Numbers {
            copy_ups,
            bytes,
            misses: 7,
            syncs: 1,
        };
        let mount = |name: &str, total: Option<Numbers>| MountSample {
            mount: name.as_bytes().into(),
            kind: b"overlay".into(),
            device: "0:45".to_owned(),
            total,
            since: total.map(|total| numbers(total.copy_ups / 2, 0)),
            counters: Default::default(),
        };
        let process = |pid, comm: &str, copy_ups| Process {
            pid,
            comm: comm.as_bytes().into(),
            copy_ups,
            bytes: 1 << 20,
            ..Process::default()
        };
        Snapshot {
            milliseconds: 2000,
            mounts: vec![
                mount("/in-tree", None),
                mount("/a\x1b", Some(numbers(1, 4096))),
                mount("/b", Some(numbers(4, 10))),
            ],
            processes: vec![process(1, "cp", 1), process(2, "a\nb", 5)],
            remark: Some("3 events were lost".to_owned()),
        }
    }

    #[test]
    fn once() {
        let mut snapshot = snapshot();
        sort(&mut snapshot, Sort::CopyUps);
        let (mut out, shown) = Out::captured(false);
        show(&snapshot, &mut out).expect("memory");
        let lines = [
            "mount        copy ups  +    bytes    +  misses  +  syncs  +",
            "/b                  4  2     10 B  0 B       7  7      1  1",
            "/a\\x1b              1  0  4.0 KiB  0 B       7  7      1  1",
            "/in-tree  no counters",
            "",
            "3 events were lost",
            "process  pid  copy ups    bytes  misses  syncs",
            "a\\x0ab     2         5  1.0 MiB       0      0",
            "cp         1         1  1.0 MiB       0      0",
        ];
        assert_eq!(shown.text(), lines.map(|line| format!("{line}\n")).concat());
        sort(&mut snapshot, Sort::Bytes);
        assert_eq!(snapshot.mounts[0].mount.0, b"/a\x1b");
    }

    #[test]
    fn on_a_screen() {
        let text = screen::drawn(&snapshot(), 100, 20);
        for part in [
            "copy ups",
            "/a\\x1b",
            "a\\x0ab",
            "3 events were lost",
            "q ends",
        ] {
            assert!(text.contains(part), "{part}: {text}");
        }
        // However small it is.
        for (width, height) in [(1, 1), (10, 3), (500, 2)] {
            screen::drawn(&snapshot(), width, height);
        }
    }

    #[test]
    fn intervals() {
        assert_eq!(seconds("0.5"), Ok(0.5));
        for wrong in ["0", "-1", "nan", "inf", "4000", "x"] {
            assert!(seconds(wrong).is_err(), "{wrong}");
        }
    }
}
