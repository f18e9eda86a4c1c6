// SPDX-License-Identifier: GPL-2.0

//! Going through one layer, each object of it in the context of the layers below.

use super::finding::Findings;
use super::index::Indexed;
use super::redirect::Claims;
use super::subject::Subject;
use super::{impure, metacopy, nlink, opaque, origin, protattr, redirect, whiteout};
use crate::layer::Handles;
use crate::layer::{Entry, Error, Kind as Type, Place, Result, Visit};
use crate::show::Progress;
use crate::stack::{Node, Stack};
use std::sync::Arc;

/// How many descriptors are kept for the way down.
const KEPT_OPEN: usize = 128;

/// What is common to all that is looked at.
pub struct Scan<'a> {
    /// The number of the layer, from the top.
    pub layer: usize,
    /// Whether the topmost one is an upper layer.
    pub has_upper: bool,
    /// The layer, and those below.
    pub stack: &'a Stack,
    /// The file systems of the lower layers.
    pub lower: &'a Handles,
    /// What has an entry in the index.
    pub indexed: &'a Indexed,
    /// Counts the objects.
    pub progress: &'a Progress,
}

/// A directory on the way down.
struct Level {
    place: Place,
    /// What its layer and those below show there, and the same without its layer; closed if there are too
    /// many.
    nodes: Option<(Arc<Node>, Option<Arc<Node>>)>,
    /// What its entries have to do with the mark of an impure directory.
    need: impure::Need,
}

impl Scan<'_> {
    fn is_upper(&self) -> bool {
        self.layer == 0 && self.has_upper
    }

    /// Goes through the layer.
    pub fn run(&self, claims: &mut Claims, out: &mut Findings) -> Result<()> {
        let Some(layer) = self.stack.layers().first() else {
            return Ok(());
        };
        let mut levels: Vec<Level> = Vec::new();
        let mut walk = layer.walk()?;
        loop {
            match walk.step() {
                Ok(None) => return Ok(()),
                Err(error) => out.unreadable.push(error),
                Ok(Some(Visit::Enter(entry))) => {
                    self.progress.step(1);
                    // A directory that could not be read was not left.
                    levels.truncate(entry.place().depth());
                    let result = self.enter(&entry, &mut levels, claims, out);
                    if out.take(result) != Some(true) && entry.kind() == Type::Dir {
                        walk.skip();
                    }
                }
                Ok(Some(Visit::Leave(entry))) => {
                    levels.truncate(entry.place().depth().saturating_add(1));
                    if let Some(level) = levels.pop().filter(|_| self.is_upper()) {
                        let result = impure::check(&entry, level.need, out);
                        out.take(result);
                    }
                }
            }
        }
    }

    /// Looks at an object. Returns whether what is in it can be looked at.
    fn enter(
        &self,
        entry: &Arc<Entry>,
        levels: &mut Vec<Level>,
        claims: &mut Claims,
        out: &mut Findings,
    ) -> Result<bool> {
        let node = match entry.place().name() {
            None => Some(self.stack.root()?),
            Some(_) => {
                let (dir, below) = self.open_level(levels)?;
                let place = entry.place();
                let shown = self.stack.lookup(&dir, place.name().unwrap_or_default());
                let subject = Subject {
                    layer: self.layer,
                    upper: self.is_upper(),
                    has_upper: self.has_upper,
                    stack: self.stack,
                    dir: &dir,
                    below: below.as_deref(),
                    entry,
                    node: shown.as_ref().map(Option::as_ref),
                };
                let need = self.look(&subject, claims, out)?;
                if let Some(level) = levels.last_mut() {
                    level.need = level.need.max(need);
                }
                shown.ok().flatten()
            }
        };
        let Some(node) = node.filter(|_| entry.kind() == Type::Dir) else {
            return Ok(false);
        };
        let below = node.below()?.map(Arc::new);
        levels.push(Level {
            place: entry.place().clone(),
            nodes: Some((Arc::new(node), below)),
            need: impure::Need::None,
        });
        close_far(levels);
        Ok(true)
    }

    /// The directory that is being read, opened again if it was closed.
    fn open_level(&self, levels: &mut [Level]) -> Result<(Arc<Node>, Option<Arc<Node>>)> {
        let Some(level) = levels.last_mut() else {
            return Ok((Arc::new(self.stack.root()?), None));
        };
        if level.nodes.is_none() {
            let node = self.stack.at(&level.place)?.map(Arc::new);
            let below = node.as_ref().map(|node| node.below()).transpose()?;
            level.nodes = node.map(|node| (node, below.flatten().map(Arc::new)));
        }
        level.nodes.clone().ok_or_else(|| {
            let layer = self.stack.layers().first();
            let path = layer.map_or_else(Vec::new, |layer| layer.shown(&level.place));
            Error::system(&path, "find it again", rustix::io::Errno::STALE)
        })
    }

    /// Looks at all about one object. Returns what it has to do with the mark on its directory.
    fn look(
        &self,
        subject: &Subject<'_>,
        claims: &mut Claims,
        out: &mut Findings,
    ) -> Result<impure::Need> {
        let entry = subject.entry;
        if let Some(form) = entry.whiteout() {
            whiteout::check(subject, form, out)?;
            return Ok(impure::Need::None);
        }
        let before = out.list.len();
        match entry.kind() {
            Type::Dir => {
                opaque::check(subject, out)?;
                redirect::check(subject, claims, out)?;
            }
            Type::File => metacopy::check(subject, out)?,
            _ => {}
        }
        // If it cannot be looked up, and nothing about itself says why, then what is below it does.
        if let (Err(error), true) = (&subject.node, before == out.list.len()) {
            let path = error.path().to_vec();
            let cause = error.cause().clone();
            out.unreadable.push(Error::new(&path, "look it up", cause));
        }
        if !subject.upper {
            return Ok(impure::Need::None);
        }
        if !self.indexed.contains_key(&entry.id()) {
            origin::check(subject, self.lower, out)?;
            if entry.kind() != Type::Dir {
                nlink::check(subject, out)?;
            }
        }
        if matches!(entry.kind(), Type::Dir | Type::File) {
            protattr::check(subject, out)?;
        }
        impure::need(subject, self.lower)
    }
}

/// Closes the directories that are farthest from here until few enough descriptors are open.
fn close_far(levels: &mut [Level]) {
    let weight = |level: &Level| {
        level
            .nodes
            .as_ref()
            .map_or(0, |(node, _)| 2 * node.weight())
    };
    let mut open: usize = levels.iter().map(weight).sum();
    let last = levels.len().saturating_sub(1);
    for level in levels.iter_mut().take(last) {
        if open <= KEPT_OPEN {
            break;
        }
        open = open.saturating_sub(weight(level));
        level.nodes = None;
    }
}
