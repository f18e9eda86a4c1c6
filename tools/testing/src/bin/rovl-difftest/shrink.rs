// SPDX-License-Identifier: GPL-2.0
//! Shortens a script that shows a difference: what can be left out is left out.

use std::time::{Duration, Instant};

use crate::script::Script;

/// Longest time that is spent on one script.
const PATIENCE: Duration = Duration::from_secs(180);

/// A script without steps that `differs` can do without. Only the first `steps` count.
pub fn shrink(script: &Script, steps: usize, differs: impl Fn(&Script) -> bool) -> Script {
    let start = Instant::now();
    let mut best = script.clone();
    let mut shorter = best.clone();
    shorter.steps.truncate(steps);
    if differs(&shorter) {
        best = shorter;
    }
    let mut chunk = best.steps.len().div_ceil(2);
    while chunk > 0 && start.elapsed() < PATIENCE {
        let before = best.steps.len();
        // From the end, where the steps after the cause are.
        let mut end = before;
        while end > 0 && start.elapsed() < PATIENCE {
            let from = end.saturating_sub(chunk);
            let mut shorter = best.clone();
            shorter.steps.drain(from..end);
            if differs(&shorter) {
                best = shorter;
            }
            end = from;
        }
        // Single steps are tried until none can go; larger pieces once.
        if chunk > 1 {
            chunk /= 2;
        } else if best.steps.len() == before {
            break;
        }
    }
    best
}
