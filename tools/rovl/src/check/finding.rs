// SPDX-License-Identifier: GPL-2.0

//! Something that was found.

use super::kind::{Ease, Kind};
use super::repair::Step;
use crate::layer::{Entry, Error};

/// Something that was found.
#[derive(Clone, Debug)]
pub struct Finding {
    /// What it is.
    pub kind: Kind,
    /// The path, not escaped.
    pub path: Vec<u8>,
    /// What is wrong, and with what effect; a sentence or two.
    pub sentence: String,
    /// What can be done about it here, if something can.
    pub repair: Option<Repair>,
    /// There is more than one way this time, so that it has to be asked for.
    pub contested: bool,
}

/// How something is repaired.
#[derive(Clone, Debug)]
pub struct Repair {
    /// What it does, as in "remove the whiteout".
    pub text: String,
    /// It changes a lower layer: the number of that, counted from the top.
    pub lower: Option<usize>,
    /// What is done, one after the other.
    pub steps: Vec<Step>,
}

impl Finding {
    /// Something of this kind about `entry`, not to be repaired yet.
    pub fn new(kind: Kind, entry: &Entry, sentence: impl Into<String>) -> Self {
        Self {
            kind,
            path: entry.shown(),
            sentence: sentence.into(),
            repair: None,
            contested: false,
        }
    }

    /// With a way to repair it, in the upper layer or the work directory.
    #[must_use]
    pub fn repaired_by(mut self, text: impl Into<String>, steps: Vec<Step>) -> Self {
        self.repair = Some(Repair {
            text: text.into(),
            lower: None,
            steps,
        });
        self
    }

    /// What is changed by that is in this layer; the upper one has the number 0 if there is one.
    #[must_use]
    pub fn in_layer(mut self, layer: usize, has_upper: bool) -> Self {
        if let Some(repair) = &mut self.repair {
            repair.lower = (layer > 0 || !has_upper).then_some(layer);
        }
        self
    }

    /// When it may be repaired.
    pub fn ease(&self) -> Ease {
        match self.repair {
            Some(_) if self.contested => self.kind.ease().max(Ease::Asked),
            Some(_) => self.kind.ease(),
            None => Ease::Never,
        }
    }
}

/// What a pass through the layers has found.
#[derive(Debug, Default)]
pub struct Findings {
    /// What is wrong.
    pub list: Vec<Finding>,
    /// What could not be looked at.
    pub unreadable: Vec<Error>,
}

impl Findings {
    /// Adds something.
    pub fn push(&mut self, finding: Finding) {
        self.list.push(finding);
    }

    /// Takes the result of a look at something, and goes on if it could not be looked at.
    pub fn take<T>(&mut self, result: Result<T, Error>) -> Option<T> {
        result.map_err(|error| self.unreadable.push(error)).ok()
    }
}
