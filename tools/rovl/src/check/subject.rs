// SPDX-License-Identifier: GPL-2.0

//! An object of a layer, with what is around it.

use super::finding::{Finding, Findings};
use super::kind::Kind;
use super::repair::{Step, Target};
use crate::layer::{self, Entry, Place};
use crate::stack::{Node, Stack};
use ondisk::Name;

/// An object that is looked at.
pub struct Subject<'a> {
    /// The number of its layer, from the top.
    pub layer: usize,
    /// Whether that is the upper one.
    pub upper: bool,
    /// Whether there is an upper layer at all.
    pub has_upper: bool,
    /// Its layer, and those below.
    pub stack: &'a Stack,
    /// The directory that it is in, merged of these layers.
    pub dir: &'a Node,
    /// The same without its own layer, if there is more.
    pub below: Option<&'a Node>,
    /// The object.
    pub entry: &'a Entry,
    /// What its name shows, if that can be told.
    pub node: Result<Option<&'a Node>, &'a layer::Error>,
}

impl Subject<'_> {
    /// Its name.
    pub fn name(&self) -> &[u8] {
        self.entry.place().name().unwrap_or_default()
    }

    /// Adds something that is wrong about it, without a repair.
    pub fn report(&self, out: &mut Findings, kind: Kind, sentence: impl Into<String>) {
        out.push(Finding::new(kind, self.entry, sentence));
    }

    /// The same, with one.
    pub fn repair(
        &self,
        out: &mut Findings,
        (kind, sentence): (Kind, String),
        text: impl Into<String>,
        steps: Vec<Step>,
    ) {
        let finding = Finding::new(kind, self.entry, sentence).repaired_by(text, steps);
        out.push(finding.in_layer(self.layer, self.has_upper));
    }

    /// The object, to be changed.
    pub fn target(&self) -> Target {
        Target::of(self.entry)
    }

    /// The change that removes one of its attributes.
    pub fn unset(&self, name: Name) -> Step {
        Step::Unset(self.target(), name)
    }

    /// The change that sets one.
    pub fn set(&self, name: Name, value: &[u8]) -> Step {
        Step::Set(self.target(), name, value.to_vec())
    }

    /// What the layers below have under its name.
    pub fn same_name_below(&self) -> layer::Result<Option<Node>> {
        match self.below {
            Some(below) => self.stack.lookup(below, self.name()),
            None => Ok(None),
        }
    }

    /// What its layer and those below show at `place`. What cannot be told is nothing.
    pub fn at(&self, place: &Place) -> Option<Node> {
        self.stack.at(place).ok().flatten()
    }
}
