// SPDX-License-Identifier: GPL-2.0
//! Layers that change under a mount, compared with a plain tree: a checkpoint is a copy of it, and a roll back makes it that
//! copy again. What is pushed or dropped is shown by a mount of the layers by the in-tree module, which
//! the plain tree is made to be. What is still the object that it was stays the one that the processes hold.
//!
//! `site` has the directories, mounts and processes, `sequence` does the steps of processes, `change` those that change
//! layers, `held` is what the processes hold and what becomes of it, `tree` is the plain tree, `generate` makes steps.

mod change;
mod generate;
mod held;
mod sequence;
mod site;
mod tree;

use crate::run::{Difference, Failed, Outcome, Settings};
use crate::script::{Script, Step};
use sequence::Sequence;
pub use tree::key;

/// What a random sequence is like.
#[derive(Debug, Clone, Copy)]
pub struct Plan {
    /// How many steps it has, beside those that fill layers.
    pub length: usize,
    /// One change of the layers in so many steps.
    pub every: u32,
}

/// Does the random sequence `seed`. Which steps it has depends on the plain tree, so it comes with them.
pub fn random(settings: &Settings, seed: u64, plan: Plan) -> Result<(Script, Outcome), Failed> {
    let mut script = generate::layers(seed);
    let mut source = generate::Source::new(seed, script.lowers.len(), plan.every);
    let layers = std::mem::take(&mut script.steps).into_iter();
    let filled = layers.len();
    let mut layers = layers;
    let outcome = all(settings, &script, |sequence| {
        let mut next = |step: usize| (step < filled + plan.length).then(|| source.next(sequence));
        layers.next().or_else(|| next(sequence.done.len()))
    });
    let (steps, outcome) = outcome?;
    script.steps = steps;
    Ok((script, outcome))
}

/// Does the steps of a script.
pub fn run(settings: &Settings, script: &Script) -> Result<Outcome, Failed> {
    let mut steps = script.steps.iter().cloned();
    all(settings, script, |_| steps.next()).map(|(_, outcome)| outcome)
}

/// Does steps until there are no more of them, or one shows a difference. Tells them with what came of them.
fn all(
    settings: &Settings,
    script: &Script,
    mut next: impl FnMut(&Sequence) -> Option<Step>,
) -> Result<(Vec<Step>, Outcome), Failed> {
    for name in script.file_systems() {
        settings.images.borrow_mut().need(&settings.scratch, name)?;
    }
    let mut sequence = Sequence::new(settings, script)?;
    let found = loop {
        match next(&sequence) {
            Some(step) => {
                if let Some(found) = done(&mut sequence, &step)? {
                    break Some(found);
                }
            }
            None => break sequence.end()?,
        }
    };
    let outcome = Outcome {
        difference: found,
        operations: std::mem::take(&mut sequence.counts),
        texts: Default::default(),
    };
    Ok((std::mem::take(&mut sequence.done), outcome))
}

fn done(sequence: &mut Sequence, step: &Step) -> Result<Option<Difference>, Failed> {
    sequence.step(step).map_err(|Failed(text)| {
        Failed(format!("{step}: {text}, layers {}", sequence.site.listed()))
    })
}
