// SPDX-License-Identifier: GPL-2.0
//! A sequence of operations by chance, and the states of the tree between them, which come from a
//! plain directory: what an overlay has to show.

use std::collections::HashSet;
use std::path::{Path, PathBuf};

use fastrand::Rng;
use rovl_testing::ops;
use rovl_testing::Dir;
use rustix::io::Errno;

use crate::live;
use crate::operation::Operation;
use crate::scenario::{Kind, Scenario};
use crate::state::State;

/// Directories of the tree at the start, and files in each.
const DIRS: usize = 4;
const FILES: usize = 6;
/// Lower layers at the start.
const LOWER: usize = 2;
/// Sizes of files: none, within a block, one block, several, many.
const SIZES: [usize; 7] = [0, 1, 4096, 9000, 12_001, 20_000, 66_000];
/// Names for what is made, beside those that were there and are gone.
const NEW_NAMES: [&str; 4] = ["n0", "n1", "n2", "n3"];
/// Modification time of what is there at the start.
const TIME: i64 = 1_000_000_000;
/// How often an operation is drawn again that cannot be done.
const ATTEMPTS: usize = 1000;

/// The operations, and the states: one more, as there is one before the first.
#[derive(Debug)]
pub struct Plan {
    /// In their order.
    pub operations: Vec<Operation>,
    /// Before the operation with the same number.
    pub states: Vec<State>,
    /// How many lower layers there are then.
    depths: Vec<usize>,
}

impl Plan {
    /// Draws `count` operations of `scenario` and does them in the empty directory `model`.
    pub fn new(scenario: &Scenario, seed: u64, count: usize, model: &Path) -> Self {
        let place = Dir::at(model);
        populate(&place, &place, scenario);
        let mut plan = Self {
            operations: Vec::new(),
            states: vec![State::of(model, scenario.compares_times)],
            depths: vec![LOWER],
        };
        let mut draw = Draw {
            rng: Rng::with_seed(seed),
            touched: HashSet::new(),
            number: 0,
            checkpoints: Vec::new(),
        };
        while plan.operations.len() < count {
            draw.number = plan.operations.len();
            let operation = draw.one(scenario, plan.last(), model);
            plan.operations.push(operation);
            plan.depths.push(LOWER + draw.checkpoints.len());
            let state = State::of(model, scenario.compares_times);
            plan.states.push(state);
        }
        plan
    }

    /// How many lower layers there are after so many operations.
    pub fn depth(&self, operations: usize) -> usize {
        self.depths[operations.min(self.depths.len() - 1)]
    }

    fn last(&self) -> &State {
        &self.states[self.states.len() - 1]
    }
}

/// Fills the lower layers; the plain directory stands for both.
pub fn populate(top: &Dir, bottom: &Dir, scenario: &Scenario) {
    for d in 0..DIRS {
        for (f, len) in (0..FILES).zip(SIZES.iter().cycle().skip(d)) {
            let layer = [top, bottom][(d + f) % 2];
            file(layer, &format!("d{d}/f{f}"), *len, (d * FILES + f) as u32);
        }
        let layer = [top, bottom][d % 2];
        file(layer, &format!("d{d}/sub/g"), 3000, 7);
        file(bottom, &format!("d{d}/sub/h"), 10, 8);
        layer.dir(format!("d{d}/e"));
        let link = format!("d{d}/s");
        layer.symlink(&link, "target");
        layer.times(&link, TIME, TIME + 5);
    }
    if scenario.has_lower_links {
        for d in 0..DIRS {
            for f in 0..FILES / 2 {
                let layer = [top, bottom][(d + f) % 2];
                layer.link(format!("d{d}/f{f}"), format!("d{}/l{f}", (d + 1) % DIRS));
            }
        }
    }
}

fn file(layer: &Dir, path: &str, len: usize, number: u32) {
    let time = TIME + i64::from(number);
    layer
        .file(path, ops::pattern(len, u64::from(number) + 1000))
        .xattr(path, "user.number", number.to_string())
        .owner(path, 1000 + number, 1000)
        .mode(path, 0o640)
        .times(path, time, time);
}

struct Draw {
    rng: Rng,
    /// What is in the upper layer already.
    touched: HashSet<PathBuf>,
    /// The number of the operation.
    number: usize,
    /// Operations that made the checkpoints that there are, the topmost last.
    checkpoints: Vec<usize>,
}

impl Draw {
    /// An operation that can be done, and is.
    fn one(&mut self, scenario: &Scenario, state: &State, model: &Path) -> Operation {
        for _ in 0..ATTEMPTS {
            let kind = scenario.kinds[self.rng.usize(..scenario.kinds.len())];
            let Some(operation) = self.of(kind, state) else {
                continue;
            };
            let applied = operation.apply(model);
            if applied.and_then(|()| self.keep(&operation, model)).is_ok() {
                return operation;
            }
        }
        panic!("no operation of {} can be done any more", scenario.name);
    }

    /// A checkpoint is a copy of the tree, and going back to it is a copy of that.
    fn keep(&mut self, operation: &Operation, model: &Path) -> Result<(), Errno> {
        let copy_of = |number: usize| model.with_extension(number.to_string());
        match operation {
            Operation::Checkpoint(number) => {
                live::copy(model, &copy_of(*number))?;
                self.checkpoints.push(*number);
            }
            Operation::Rollback(_, to) => {
                live::copy(&copy_of(*to), model)?;
                self.checkpoints.retain(|number| number <= to);
                // All of it is in lower layers again.
                self.touched.clear();
            }
            _ => {}
        }
        Ok(())
    }

    fn of(&mut self, kind: Kind, state: &State) -> Option<Operation> {
        let rng = &mut self.rng;
        let size = SIZES[rng.usize(..SIZES.len())];
        let id = 2000 + rng.u32(..100);
        Some(match kind {
            Kind::Chmod => Operation::Chmod(self.file(state)?, 0o600 | id & 0o77),
            Kind::Chown => Operation::Chown(self.file(state)?, id),
            Kind::ChownLink => Operation::Chown(self.any(state, "symlink")?, id),
            Kind::ChmodDir => Operation::Chmod(self.any(state, "dir")?, 0o700 | id & 0o77),
            Kind::Open => Operation::Open(self.file(state)?),
            Kind::Rewrite => Operation::Rewrite(self.file(state)?),
            Kind::Truncate => Operation::Truncate(self.file(state)?),
            Kind::Attribute => Operation::Attribute(self.file(state)?, 20 + id as usize % 1500),
            Kind::Replace => Operation::Replace(self.file(state)?, size),
            Kind::Create => Operation::Replace(self.new_name(state)?, size),
            Kind::Rename => Operation::Rename(self.file(state)?, self.new_name(state)?),
            Kind::RenameOver => Operation::Rename(self.file(state)?, self.file(state)?),
            Kind::Exchange => Operation::Exchange(self.file(state)?, self.file(state)?),
            Kind::RenameDir => Operation::Rename(self.any(state, "dir")?, self.new_name(state)?),
            Kind::ExchangeDir => {
                Operation::Exchange(self.any(state, "dir")?, self.any(state, "dir")?)
            }
            Kind::Link => Operation::Link(self.file(state)?, self.new_name(state)?),
            Kind::Unlink => Operation::Unlink(self.file(state)?),
            Kind::Rmdir => Operation::Rmdir(self.any(state, "dir")?),
            Kind::Mkdir => Operation::Mkdir(self.new_name(state)?),
            Kind::Symlink => Operation::Symlink(self.new_name(state)?),
            Kind::Write if rng.bool() => Operation::Write(self.file(state)?, size),
            Kind::Write => Operation::Write(self.new_name(state)?, size),
            Kind::Map => Operation::Map(self.file(state)?, size.max(1)),
            Kind::Unnamed => Operation::Unnamed(self.new_name(state)?, size),
            Kind::Sync => Operation::Sync,
            Kind::Remount => Operation::Remount,
            Kind::Unmount => Operation::Unmount,
            Kind::Checkpoint => Operation::Checkpoint(self.number),
            Kind::Rollback => {
                Operation::Rollback(self.number, rng.choice(&self.checkpoints).copied()?)
            }
        })
    }

    fn any(&mut self, state: &State, kind: &str) -> Option<PathBuf> {
        let paths = state.paths(kind);
        let chosen = paths.get(self.rng.usize(..paths.len().max(1)))?;
        Some((*chosen).clone())
    }

    /// A file, most often one that is still in a lower layer.
    fn file(&mut self, state: &State) -> Option<PathBuf> {
        for _ in 0..3 {
            let path = self.any(state, "file")?;
            if self.touched.insert(path.clone()) {
                return Some(path);
            }
        }
        self.any(state, "file")
    }

    /// A name that is free: a new one, or one of something that is gone.
    fn new_name(&mut self, state: &State) -> Option<PathBuf> {
        let dir = self.any(state, "dir")?;
        let number = self.rng.usize(..FILES);
        let name = match self.rng.usize(..4) {
            0 => format!("f{number}"),
            1 => ["e", "s", "g", "sub"][number % 4].to_owned(),
            _ => NEW_NAMES[number % NEW_NAMES.len()].to_owned(),
        };
        let path = dir.join(name);
        self.touched.insert(path.clone());
        (!state.has(&path)).then_some(path)
    }
}
