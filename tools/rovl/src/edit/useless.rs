// SPDX-License-Identifier: GPL-2.0

//! Finding what is of no use in an upper layer: without it the stack shows the same.

use super::plan::{Object, Planned, Reason};
use crate::changes::{aspects, is_same};
use crate::layer::{Entry, Error, Keep, Kind, Levels, Result};
use crate::show::Progress;
use crate::stack::{ClosedNode, Node, Stack};
use ondisk::marker::Opaque;
use ondisk::Name;
use std::sync::Arc;

/// A directory of the upper layer, and what would be there without it.
#[derive(Debug)]
struct Level {
    /// What is shown.
    node: Node,
    /// The part of that below the upper layer.
    below: Option<Node>,
    /// What would be shown.
    natural: Option<Node>,
}

impl Keep for Level {
    type Closed = (ClosedNode, Option<ClosedNode>, Option<ClosedNode>);

    fn weight(&self) -> usize {
        let weight = |node: &Option<Node>| node.as_ref().map_or(0, Keep::weight);
        Keep::weight(&self.node)
            .saturating_add(weight(&self.below))
            .saturating_add(weight(&self.natural))
    }

    fn close(&self) -> Self::Closed {
        let close = |node: &Option<Node>| node.as_ref().map(Node::closed);
        (self.node.closed(), close(&self.below), close(&self.natural))
    }

    fn open((node, below, natural): &Self::Closed, hint: Option<&Self>) -> Result<Self> {
        let open = |closed: &Option<ClosedNode>, hint: Option<&Node>| {
            closed.as_ref().map(|closed| closed.open(hint)).transpose()
        };
        Ok(Self {
            node: node.open(hint.map(|hint| &hint.node))?,
            below: open(below, hint.and_then(|hint| hint.below.as_ref()))?,
            natural: open(natural, hint.and_then(|hint| hint.natural.as_ref()))?,
        })
    }
}

/// What was found in a directory so far.
#[derive(Debug, Default)]
struct Rest {
    names: std::vec::IntoIter<Box<[u8]>>,
    useless: Vec<Object>,
    /// Something stays in it.
    stays: bool,
    /// Something that stays has an origin.
    origin: bool,
}

/// What is of no use, and what could not be looked at.
#[derive(Debug, Default)]
pub(super) struct Found {
    pub(super) plan: Vec<Planned>,
    pub(super) errors: Vec<Error>,
}

struct Search<'a> {
    stack: &'a Stack,
    times: bool,
    progress: &'a Progress,
    levels: Levels<Level, Rest>,
    found: Found,
}

/// Looks through the upper layer of a stack. With `times`, a copy with another time is not equal.
pub(super) fn find(stack: &Stack, times: bool, progress: &Progress) -> Result<Found> {
    let mut search = Search {
        stack,
        times,
        progress,
        levels: Levels::default(),
        found: Found::default(),
    };
    search.push(stack.root()?, None)?;
    while let Some((level, rest)) = search.levels.last()? {
        let Some(name) = rest.names.next() else {
            search.leave(&level)?;
            continue;
        };
        if let Err(error) = search.look_at(&level, &name) {
            search.found.errors.push(error);
            // It may have one.
            search.stays(true)?;
        }
    }
    Ok(search.found)
}

fn has_origin(entry: &Entry) -> Result<bool> {
    Ok(entry.overlay_xattr(Name::Origin)?.is_some())
}

impl Search<'_> {
    fn push(&mut self, node: Node, natural: Option<Node>) -> Result<()> {
        let names = node.entry().list()?.into_iter().map(|listed| listed.name);
        let rest = Rest {
            names: names.collect::<Vec<_>>().into_iter(),
            ..Rest::default()
        };
        let below = node.below()?;
        let level = Level {
            node,
            below,
            natural,
        };
        self.levels.push(Arc::new(level), rest);
        Ok(())
    }

    /// Something stays in the last directory.
    fn stays(&mut self, origin: bool) -> Result<()> {
        if let Some((_, rest)) = self.levels.last()? {
            rest.stays = true;
            rest.origin |= origin;
        }
        Ok(())
    }

    /// Something in the last directory is of no use.
    fn useless(&mut self, object: Object) -> Result<()> {
        if let Some((_, rest)) = self.levels.last()? {
            rest.useless.push(object);
        }
        Ok(())
    }

    fn look_at(&mut self, level: &Level, name: &[u8]) -> Result<()> {
        self.progress.step(1);
        self.progress.at(name);
        let Some(entry) = level.node.entry().child(name)? else {
            return Ok(());
        };
        let natural = match &level.below {
            Some(below) => self.stack.lookup(below, name)?,
            None => None,
        };
        if entry.whiteout().is_some() {
            return match natural {
                Some(_) => self.stays(false),
                None => self.useless(Object::new(name, &entry, Reason::Whiteout)),
            };
        }
        let Some(node) = self.stack.lookup(&level.node, name)? else {
            return self.stays(false);
        };
        if node.kind() == Kind::Dir {
            return self.push(node, natural);
        }
        match natural {
            Some(natural) if self.is_equal(&natural, &node)? => {
                self.useless(Object::new(name, &entry, Reason::Copy))
            }
            _ => self.stays(has_origin(&entry)?),
        }
    }

    /// Whether an object of the upper layer is a copy. One of several names would be another one.
    fn is_equal(&self, natural: &Node, node: &Node) -> Result<bool> {
        let alone = |node: &Node| node.kind() == Kind::Dir || node.stat().nlink == 1;
        if !alone(natural) || !alone(node) {
            return Ok(false);
        }
        let (before, after) = ((self.stack, natural), (self.stack, node));
        Ok(!aspects(before, after, self.times)?.any())
    }

    fn leave(&mut self, level: &Arc<Level>) -> Result<()> {
        let Some(rest) = self.levels.pop(level) else {
            return Ok(());
        };
        let entry = level.node.entry();
        let name = level.node.place().name();
        let mut marks = Vec::new();
        if name.is_some() {
            let hides = level.natural.as_ref();
            let hides = hides.is_some_and(|natural| natural.kind() == Kind::Dir);
            if entry.opaque() == Opaque::Yes && !hides {
                marks.push(Reason::Opaque);
            }
            // That of the root says that the layer was in use before it had an identity.
            if entry.is_impure() && !rest.origin {
                marks.push(Reason::Impure);
            }
        }
        let goes = !rest.stays && self.is_needless(level)?;
        if !rest.useless.is_empty() || !marks.is_empty() {
            let planned = Planned::new(entry, rest.useless, marks);
            self.found.plan.push(planned);
        }
        match name {
            Some(name) if goes => self.useless(Object::new(name, entry, Reason::Directory)),
            Some(_) => self.stays(has_origin(entry)?),
            None => Ok(()),
        }
    }

    /// Whether a directory with nothing in it shows the same as without it.
    fn is_needless(&self, level: &Level) -> Result<bool> {
        let Some((natural, below)) = level.natural.as_ref().zip(level.below.as_ref()) else {
            return Ok(false);
        };
        Ok(is_same(natural, below) && self.is_equal(natural, &level.node)?)
    }
}
