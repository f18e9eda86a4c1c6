// SPDX-License-Identifier: GPL-2.0
//! What the checks of many cuts gave.

use crate::check::Progress;

/// Wrong disks that are described.
const SHOWN: usize = 5;

/// Sums for one loop with one type of overlay on one file system.
#[derive(Debug, Default)]
pub struct Sums {
    cuts: usize,
    within: usize,
    ended_old: usize,
    ended_new: usize,
    lost_writes: usize,
    refused: usize,
    wrong: Vec<String>,
    failures: Vec<String>,
}

impl Sums {
    /// Takes in a cut with the writes that it lost and what its check gave.
    pub fn add(
        &mut self,
        label: &str,
        progress: Progress,
        lost: usize,
        checked: Result<usize, String>,
    ) {
        self.cuts += 1;
        self.lost_writes += lost;
        let within = progress.begun > progress.ended;
        self.within += usize::from(within);
        match checked {
            Ok(seen) if within => {
                self.ended_new += usize::from(seen == progress.begun);
                self.ended_old += usize::from(seen < progress.begun);
            }
            Ok(_) => (),
            Err(text) => self.wrong.push(format!("{label}: {text}")),
        }
    }

    /// Takes in whether a disk was refused that both types have to refuse.
    pub fn add_refusal(&mut self, label: &str, result: Result<(), String>) {
        match result {
            Ok(()) => self.refused += 1,
            Err(text) => self.failures.push(format!("{label}: {text}")),
        }
    }

    /// Notes something wrong that no lack of syncs excuses.
    pub fn fail(&mut self, text: String) {
        self.failures.push(text);
    }

    /// Prints them. True if they are good: nothing wrong, or for the control something.
    pub fn print(&self, name: &str, is_control: bool) -> bool {
        println!(
            "{name}: {} cuts, {} within an operation ({} show it undone, {} done), {} writes lost, \
             {} disks {}",
            self.cuts,
            self.within,
            self.ended_old,
            self.ended_new,
            self.lost_writes,
            self.wrong.len(),
            if is_control { "damaged" } else { "wrong" },
        );
        if self.refused > 0 {
            println!(
                "  {} refused by both types, and looked at all the same",
                self.refused
            );
        }
        let (word, shown) = if is_control {
            ("damaged", 1)
        } else {
            ("WRONG", SHOWN)
        };
        for text in self.wrong.iter().take(shown) {
            println!("  {word}: {text}");
        }
        for text in self.failures.iter().take(SHOWN) {
            println!("  WRONG: {text}");
        }
        if is_control && self.wrong.is_empty() {
            println!("  WRONG: nothing is damaged where nothing is synced: the check sees nothing");
        }
        self.failures.is_empty() && self.wrong.is_empty() != is_control
    }
}
