// SPDX-License-Identifier: GPL-2.0
//! Runs a script on both sides and compares.

use std::fmt;
use std::path::Path;

use crate::script::{Place, Script, Step};
use crate::side::Side;
use crate::snapshot;

/// Steps between two comparisons of the trees.
const COMPARE_EVERY: usize = 25;

/// The first difference of a run.
#[derive(Debug)]
pub struct Difference {
    /// Number of steps that were done.
    pub steps: usize,
    /// What was compared.
    pub what: String,
    /// File system types of the sides at that time.
    pub kinds: [String; 2],
    /// What each side gave.
    pub seen: [String; 2],
}

/// What came of a run.
#[derive(Debug)]
pub struct Outcome {
    /// The first difference.
    pub difference: Option<Difference>,
    /// Operations that were done on the mounts.
    pub operations: usize,
    /// Those of them that succeeded.
    pub succeeded: usize,
}

/// Why a run has no result.
#[derive(Debug)]
pub struct Failed(pub String);

impl From<std::io::Error> for Failed {
    fn from(error: std::io::Error) -> Self {
        Self(format!("cannot make the layers: {error}"))
    }
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}", self.what)?;
        for (kind, seen) in self.kinds.iter().zip(&self.seen) {
            writeln!(f, "  {kind:8} {seen}")?;
        }
        Ok(())
    }
}

struct Run {
    sides: [Side; 2],
    kinds: [String; 2],
    done: usize,
    operations: usize,
    succeeded: usize,
}

/// Runs `script` below `base` until there is a difference.
pub fn run(base: &Path, kinds: &[String; 2], script: &Script) -> Result<Outcome, Failed> {
    let root = base.join("rovl-difftest");
    if root.exists() {
        std::fs::remove_dir_all(&root)?;
    }
    let mut run = Run {
        sides: [
            Side::new(&root.join("0"), script)?,
            Side::new(&root.join("1"), script)?,
        ],
        kinds: kinds.clone(),
        done: 0,
        operations: 0,
        succeeded: 0,
    };
    let found = run.all(script);
    let left = run.unmount();
    let difference = match found? {
        None => left.or_else(|| run.finish()),
        found => found,
    };
    std::fs::remove_dir_all(&root)?;
    Ok(Outcome {
        difference,
        operations: run.operations,
        succeeded: run.succeeded,
    })
}

impl Run {
    fn all(&mut self, script: &Script) -> Result<Option<Difference>, Failed> {
        let in_lower = |step: &&Step| matches!(step.place, Place::Lower(_));
        for step in script.steps.iter().filter(in_lower) {
            if let Some(found) = self.step(step)? {
                return Ok(Some(found));
            }
        }
        self.sides.iter_mut().for_each(Side::seal_lowers);
        if let Some(found) = self.mount()? {
            return Ok(Some(found));
        }
        for step in script.steps.iter().filter(|step| !in_lower(step)) {
            if let Some(found) = self.step(step)? {
                return Ok(Some(found));
            }
            if self.done % COMPARE_EVERY == 0 {
                if let Some(found) = self.trees() {
                    return Ok(Some(found));
                }
            }
        }
        Ok(self.trees())
    }

    fn step(&mut self, step: &Step) -> Result<Option<Difference>, Failed> {
        self.done += 1;
        if step.place == Place::Both {
            return self.with_mounts(step);
        }
        let [first, second] = &self.sides;
        let (Some(a), Some(b)) = (first.run(step), second.run(step)) else {
            return Err(Failed(format!("no such step: {step}")));
        };
        if !matches!(step.place, Place::Lower(_)) {
            self.operations += 1;
            self.succeeded += usize::from(a.starts_with("ok"));
        }
        Ok(self.compared(&step.to_string(), a, b))
    }

    fn with_mounts(&mut self, step: &Step) -> Result<Option<Difference>, Failed> {
        let words: Vec<&str> = step.words.iter().map(String::as_str).collect();
        match words.as_slice() {
            ["drop-caches"] => {
                std::fs::write("/proc/sys/vm/drop_caches", "2")?;
                return Ok(None);
            }
            ["remount"] => (),
            ["swap"] => self.kinds.reverse(),
            _ => return Err(Failed(format!("no such step: {step}"))),
        }
        if let Some(found) = self.unmount() {
            return Ok(Some(found));
        }
        if let Some(found) = self.mount()? {
            return Ok(Some(found));
        }
        Ok(self.trees())
    }

    fn mount(&mut self) -> Result<Option<Difference>, Failed> {
        let mut seen = Vec::new();
        for (side, kind) in self.sides.iter_mut().zip(&self.kinds) {
            seen.push(side.mount(kind));
        }
        match seen.as_slice() {
            [Ok(()), Ok(())] => Ok(None),
            [Err(a), Err(_)] => Err(Failed(format!("both mounts were refused: {a}"))),
            [a, b] => Ok(self.compared("mount", format!("{a:?}"), format!("{b:?}"))),
            _ => Ok(None),
        }
    }

    fn unmount(&mut self) -> Option<Difference> {
        let [a, b] = self.sides.each_mut().map(|side| side.unmount().join(", "));
        self.compared("what is left after unmount", a, b)
    }

    /// The merged trees, then the upper layers.
    fn trees(&self) -> Option<Difference> {
        let [first, second] = &self.sides;
        let merged = snapshot::first_difference(&first.merged(), &second.merged());
        if let Some((path, a, b)) = merged {
            return self.compared(&format!("merged tree, {:?}", path.display()), a, b);
        }
        let (path, a, b) = snapshot::first_difference(&first.upper(), &second.upper())?;
        self.compared(&format!("upper layer, {:?}", path.display()), a, b)
    }

    /// After the unmount: the upper layers again, and the lower ones, which nothing may change.
    fn finish(&self) -> Option<Difference> {
        let [first, second] = &self.sides;
        if let Some((path, a, b)) = snapshot::first_difference(&first.upper(), &second.upper()) {
            return self.compared(&format!("upper layer, {:?}", path.display()), a, b);
        }
        let changed = [first, second].map(|side| side.changed_lowers().join("; "));
        changed
            .iter()
            .any(|text| !text.is_empty())
            .then(|| self.difference("lower layers that must not change", changed))
    }

    fn compared(&self, what: &str, a: String, b: String) -> Option<Difference> {
        (a != b).then(|| self.difference(what, [a, b]))
    }

    fn difference(&self, what: &str, seen: [String; 2]) -> Difference {
        Difference {
            steps: self.done,
            what: what.to_owned(),
            kinds: self.kinds.clone(),
            seen,
        }
    }
}
