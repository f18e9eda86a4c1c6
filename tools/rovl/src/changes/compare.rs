// SPDX-License-Identifier: GPL-2.0

//! One stack beside another. If the second is the first with an upper layer on top, only that is walked,
//! and of the others only what is beside it.

use super::renames::Renames;
use super::{aspects, is_same, Aspects, Change, Differences, Summary, What};
use crate::layer::{Id, Keep, Kind, Levels, Place, Result};
use crate::stack::{ClosedNode, Node, Stack};
use std::sync::Arc;

/// What to look at.
#[derive(Clone, Copy, Debug, Default)]
pub struct Options {
    /// Whether another time of the last change is a difference.
    pub times: bool,
}

/// A directory before and now.
#[derive(Debug)]
struct Pair {
    before: Option<Node>,
    after: Node,
}

impl Keep for Pair {
    type Closed = (Option<ClosedNode>, ClosedNode);

    fn weight(&self) -> usize {
        let before = self.before.as_ref().map_or(0, Keep::weight);
        self.after.weight().saturating_add(before)
    }

    fn close(&self) -> Self::Closed {
        (self.before.as_ref().map(Node::closed), self.after.closed())
    }

    fn open((before, after): &Self::Closed, below: Option<&Self>) -> Result<Self> {
        let hint = below.and_then(|below| below.before.as_ref());
        Ok(Self {
            before: before
                .as_ref()
                .map(|before| before.open(hint))
                .transpose()?,
            after: after.open(below.map(|below| &below.after))?,
        })
    }
}

struct Comparison<'a> {
    before: &'a Stack,
    after: &'a Stack,
    options: Options,
    found: Differences,
    renames: Renames,
    levels: Levels<Pair, std::vec::IntoIter<Box<[u8]>>>,
}

/// How `after` differs from `before`.
pub fn compare(before: &Stack, after: &Stack, options: Options) -> Result<Differences> {
    let mut comparison = Comparison {
        before,
        after,
        options,
        found: Differences::default(),
        renames: Renames::default(),
        levels: Levels::default(),
    };
    comparison.root()?;
    loop {
        match comparison.step() {
            Ok(true) => {}
            Ok(false) => break,
            Err(error) => comparison.found.errors.push(error),
        }
    }
    let Comparison {
        mut found, renames, ..
    } = comparison;
    renames.apply(&mut found, (before, after), options);
    Ok(found)
}

fn ids(node: &Node, from: usize) -> Vec<Id> {
    let parts = node.parts().iter().skip(from);
    parts.map(|part| part.entry.id()).collect()
}

impl Comparison<'_> {
    fn root(&mut self) -> Result<()> {
        let (old, new) = (self.before.root()?, self.after.root()?);
        self.changed(&old, &new)?;
        self.go_into(Some(old), new)
    }

    /// Looks at the next name. Returns whether there was one.
    fn step(&mut self) -> Result<bool> {
        while let Some((pair, names)) = self.levels.last()? {
            let Some(name) = names.next() else {
                self.levels.pop(&pair);
                continue;
            };
            self.look_at(&pair, &name)?;
            return Ok(true);
        }
        Ok(false)
    }

    fn look_at(&mut self, pair: &Pair, name: &[u8]) -> Result<()> {
        let after = self.after.lookup(&pair.after, name)?;
        let before = match &pair.before {
            Some(dir) => self.before.lookup(dir, name)?,
            None => None,
        };
        match (before, after) {
            (None, None) => Ok(()),
            (Some(before), None) => {
                self.removed(&before, pair.after.place().child(name));
                Ok(())
            }
            (before, Some(after)) => self.present(pair, before, after),
        }
    }

    /// Looks at something that is there now.
    fn present(&mut self, pair: &Pair, before: Option<Node>, after: Node) -> Result<()> {
        if let Some(before) = &before {
            if is_same(before, &after) {
                return Ok(());
            }
        }
        if let Some(old) = self.renamed_from(pair, &after)? {
            if let Some(before) = before {
                self.removed(&before, after.place().clone());
            }
            let aspects = self.aspects(&old, &after)?;
            let what = What::Renamed(old.place().clone(), aspects);
            self.renames.from(old.place());
            self.push(what, Some(&old), &after);
            return self.go_into(Some(old), after);
        }
        match before {
            Some(before) => {
                self.changed(&before, &after)?;
                self.go_into(Some(before), after)
            }
            None => {
                self.renames.added(self.found.changes.len(), &after)?;
                self.push(What::Added, None, &after);
                self.go_into(None, after)
            }
        }
    }

    /// What was renamed to `after`, if the upper layer says so and it is true.
    fn renamed_from(&self, pair: &Pair, after: &Node) -> Result<Option<Node>> {
        let dir = after.kind() == Kind::Dir;
        let rest = ids(after, 1);
        let upper = self.after.has_upper() && after.top().layer == 0;
        if !upper || rest.is_empty() || !(dir || after.entry().is_metacopy()?) {
            return Ok(None);
        }
        let Some(redirect) = after.entry().redirect()? else {
            return Ok(None);
        };
        let old = match redirect.strip_prefix(b"/") {
            Some(path) => self.before.at(&Place::of(path))?,
            None => match &pair.before {
                Some(dir) => self.before.lookup(dir, &redirect)?,
                None => None,
            },
        };
        Ok(old.filter(|old| {
            let parts = ids(old, 0);
            let is_it = if dir {
                parts == rest
            } else {
                parts.last() == rest.last()
            };
            is_it && old.place() != after.place() && self.is_gone(old).unwrap_or(false)
        }))
    }

    /// Whether what was at a place before is hidden now: a link leaves the old name.
    fn is_gone(&self, old: &Node) -> Result<bool> {
        if old.kind() == Kind::Dir {
            return Ok(true);
        }
        let now = self.after.at(old.place())?;
        Ok(now.is_none_or(|now| ids(&now, 0).last() != ids(old, 0).last()))
    }

    fn aspects(&self, before: &Node, after: &Node) -> Result<Aspects> {
        let (old, new) = ((self.before, before), (self.after, after));
        aspects(old, new, self.options.times)
    }

    fn changed(&mut self, before: &Node, after: &Node) -> Result<()> {
        let aspects = self.aspects(before, after)?;
        if aspects.any() {
            self.push(What::Changed(aspects), Some(before), after);
        }
        Ok(())
    }

    fn removed(&mut self, before: &Node, place: Place) {
        self.renames.removed(self.found.changes.len(), before);
        self.found.changes.push(Change {
            place,
            what: What::Removed,
            before: Some(Summary::of_node(before)),
            after: None,
        });
    }

    fn push(&mut self, what: What, before: Option<&Node>, after: &Node) {
        self.found.changes.push(Change {
            place: after.place().clone(),
            what,
            before: before.map(Summary::of_node),
            after: Some(Summary::of_node(after)),
        });
    }

    /// Goes into a directory, if it is one.
    fn go_into(&mut self, before: Option<Node>, after: Node) -> Result<()> {
        if after.kind() != Kind::Dir {
            return Ok(());
        }
        let before = before.filter(|before| before.kind() == Kind::Dir);
        let names = self.names(before.as_ref(), &after)?;
        self.levels
            .push(Arc::new(Pair { before, after }), names.into_iter());
        Ok(())
    }

    /// The names that may be different: those in the upper layer, if all else is as it was.
    fn names(&self, before: Option<&Node>, after: &Node) -> Result<Vec<Box<[u8]>>> {
        let Some(before) = before else {
            return self.after.names(after);
        };
        let upper = self.after.has_upper() && after.top().layer == 0;
        if upper && ids(before, 0) == ids(after, 1) {
            let listed = after.entry().list()?;
            return Ok(listed.into_iter().map(|listed| listed.name).collect());
        }
        let mut names = self.after.names(after)?;
        let mut old = self.before.names(before)?;
        self.after.retain_other_names(after, &mut old)?;
        names.append(&mut old);
        names.sort_unstable();
        names.dedup();
        Ok(names)
    }
}
