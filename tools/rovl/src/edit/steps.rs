// SPDX-License-Identifier: GPL-2.0

//! The steps of a change, counted so that tests can kill the program at any of them.

use rustix::process::{getpid, kill_process, Signal};
use std::cell::Cell;

/// After how many steps the program kills itself: in builds for tests only.
const KILL_AT: &str = "ROVL_TEST_KILL_AT";

/// How many objects are made before the journal is written again: in builds for tests only.
const CHECKPOINT: &str = "ROVL_TEST_CHECKPOINT";

/// Counts steps.
#[derive(Debug)]
pub(super) struct Steps {
    count: Cell<u64>,
    kill_at: Option<u64>,
    checkpoint: Option<u64>,
}

fn number(name: &str) -> Option<u64> {
    cfg!(debug_assertions)
        .then(|| std::env::var(name).ok()?.parse().ok())
        .flatten()
}

impl Steps {
    pub(super) fn new() -> Self {
        Self {
            count: Cell::new(0),
            kill_at: number(KILL_AT),
            checkpoint: number(CHECKPOINT),
        }
    }

    /// Something was changed, or is about to be.
    pub(super) fn step(&self) {
        self.count.set(self.count.get().saturating_add(1));
        if self.kill_at == Some(self.count.get()) {
            // It does not come back.
            let _ = kill_process(getpid(), Signal::KILL);
        }
    }

    /// After how many objects the journal is to be written, if not by time and size.
    pub(super) fn checkpoint(&self) -> Option<u64> {
        self.checkpoint
    }
}
