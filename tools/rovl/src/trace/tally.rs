// SPDX-License-Identifier: GPL-2.0

//! What each process had overlays do.

use super::{Line, Seen};
use crate::show::Bytes;
use serde::Serialize;
use std::collections::HashMap;

/// How many processes are kept: of more, those go that did the least.
const MOST: usize = 4096;

/// What a process had overlays do.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Process {
    /// The process, or its thread.
    pub pid: u32,
    /// Its name.
    pub comm: Bytes,
    /// Copy ups.
    pub copy_ups: u64,
    /// What these have copied or shared.
    pub bytes: u64,
    /// Layers that were asked for a name that they do not have.
    pub misses: u64,
    /// Syncs.
    pub syncs: u64,
}

/// What all processes did.
#[derive(Debug, Default)]
pub struct Tally {
    processes: HashMap<u32, Process>,
}

impl Tally {
    /// Counts an event.
    pub fn add(&mut self, line: &Line) {
        let Some(seen) = Seen::of(line) else { return };
        if self.processes.len() >= MOST && !self.processes.contains_key(&line.pid) {
            self.forget();
        }
        let process = self.processes.entry(line.pid).or_default();
        process.pid = line.pid;
        process.comm = line.comm.clone().into();
        let (count, by) = match seen {
            Seen::CopyUp(copy_up) => {
                process.bytes = process.bytes.saturating_add(copy_up.bytes);
                (&mut process.copy_ups, 1)
            }
            Seen::Lookup(lookup) => (&mut process.misses, lookup.missed),
            Seen::Sync(_) => (&mut process.syncs, 1),
        };
        *count = count.saturating_add(by);
    }

    /// All processes.
    pub fn processes(&self) -> Vec<Process> {
        self.processes.values().cloned().collect()
    }

    /// Forgets the half that did the least.
    fn forget(&mut self) {
        let weight = |process: &Process| (process.copy_ups, process.syncs, process.misses);
        let mut weights: Vec<_> = self.processes.values().map(weight).collect();
        weights.sort_unstable();
        if let Some(&middle) = weights.get(MOST / 2) {
            self.processes.retain(|_, process| weight(process) > middle);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Tally, MOST};
    use crate::trace::Line;

    fn line(pid: u32, event: &str) -> Line {
        let text = format!("{:>16}-{pid:<7} [000] .....     1.000000: {event}", "task");
        Line::parse(text.as_bytes()).expect("a line")
    }

    #[test]
    fn by_process() {
        let mut tally = Tally::default();
        let end = "copy_up_end: dev=0:1 ino=1 size=9 why=open how=data bytes=9 ns=1 err=0 path=/f";
        for (pid, event) in [
            (1, end),
            (1, end),
            (2, "sync: dev=0:1 of=own files=3 ns=5 err=0"),
            (1, "lookup: dev=0:1 ino=0 asked=3 missed=2 err=0 path=/x"),
            (3, "opaque: dev=0:1 path=/x"),
        ] {
            tally.add(&line(pid, event));
        }
        let mut found = tally.processes();
        found.sort_by_key(|process| process.pid);
        let numbers = |at: usize| {
            let found = &found[at];
            [found.copy_ups, found.bytes, found.misses, found.syncs]
        };
        assert_eq!(found.len(), 2);
        assert_eq!(numbers(0), [2, 18, 2, 0]);
        assert_eq!(numbers(1), [0, 0, 0, 1]);
        for pid in 10..20_000 {
            tally.add(&line(
                pid,
                "lookup: dev=0:1 ino=0 asked=3 missed=0 err=0 path=/x",
            ));
        }
        assert!(tally.processes().len() <= MOST);
        assert!(tally.processes().iter().any(|process| process.pid == 1));
    }
}
