// SPDX-License-Identifier: GPL-2.0

//! What a new layer has to say so that it shows the right thing above the layers that stay below it:
//! whiteouts, opaque directories and redirects.

use super::attributes::Mark;
use super::object;
use crate::changes::is_same;
use crate::layer::{Entry, Error, Keep, Kind, Layer, Place, Result};
use crate::stack::{ClosedNode, Node, Stack};
use ondisk::marker::Opaque;
use ondisk::Name;
use rustix::io::Errno;

/// The directory that stands for the layers below while paths are followed through those that are merged.
pub(super) const EMPTY: &str = "empty";

/// The layers that stay, and those that become one.
#[derive(Debug)]
pub(super) struct Below<'a> {
    /// All layers.
    whole: &'a Stack,
    /// How many become one.
    merged: usize,
    /// Those that become one, above an empty one: a lookup in it says where things are below.
    above: Stack,
    /// Those that stay.
    lower: Stack,
}

/// What has to be known of a directory for what is in it.
#[derive(Debug)]
pub(super) struct Beside {
    /// The directory, in the layers that become one.
    above: Node,
    /// What is left of it in the layers that stay.
    rest: Option<Node>,
    /// The path that leads to that from the roots of the layers that stay.
    way: Place,
}

impl Keep for Beside {
    type Closed = (ClosedNode, Option<ClosedNode>, Place);

    fn weight(&self) -> usize {
        let rest = self.rest.as_ref().map_or(0, Keep::weight);
        Keep::weight(&self.above).saturating_add(rest)
    }

    fn close(&self) -> Self::Closed {
        let rest = self.rest.as_ref().map(Node::closed);
        (self.above.closed(), rest, self.way.clone())
    }

    fn open((above, rest, way): &Self::Closed, below: Option<&Self>) -> Result<Self> {
        let rest_hint = below.and_then(|below| below.rest.as_ref());
        let rest = rest.as_ref().map(|rest| rest.open(rest_hint)).transpose()?;
        Ok(Self {
            above: above.open(below.map(|below| &below.above))?,
            rest,
            way: way.clone(),
        })
    }
}

impl<'a> Below<'a> {
    /// For making the `merged` topmost layers of `whole` one, which are not all. `empty` is a directory
    /// with nothing in it.
    pub(super) fn new(whole: &'a Stack, merged: usize, empty: Layer) -> Result<Self> {
        let (above, stay) = whole.layers().split_at_checked(merged).unwrap_or_default();
        let mut above = above.iter().cloned();
        let upper = above.next().filter(|_| whole.has_upper());
        Ok(Self {
            whole,
            merged,
            above: Stack::new(upper, above.chain([empty]).collect(), Vec::new())?,
            lower: Stack::new(None, stay.to_vec(), whole.data_layers().to_vec())?,
        })
    }

    /// What is to be known of the root.
    pub(super) fn root(&self) -> Result<Beside> {
        Ok(Beside {
            above: self.above.root()?,
            rest: self.rest(&self.whole.root()?)?,
            way: Place::ROOT,
        })
    }

    /// What is left of a directory in the layers that stay.
    fn rest(&self, node: &Node) -> Result<Option<Node>> {
        let mut rest = node.below()?;
        while let Some(node) = rest.take_if(|node| node.top().layer < self.merged) {
            rest = node.below()?;
        }
        Ok(rest)
    }

    /// What is to be known of the directory `node` in `parent`, and the marks that it needs.
    pub(super) fn directory(&self, parent: &Beside, node: &Node) -> Result<(Beside, Vec<Mark>)> {
        let name = node.place().name().unwrap_or_default();
        let found = self.above.lookup_seeing(&parent.above, name)?;
        let lost = || node.entry().error("find it once more", Errno::STALE);
        let way = match found.name_below.strip_prefix(b"/") {
            Some(path) => Place::of(path),
            None => parent.way.child(&found.name_below),
        };
        let mut beside = Beside {
            above: found.node.ok_or_else(lost)?,
            rest: self.rest(node)?,
            way,
        };
        let natural = self.natural(parent, name);
        let mark = match (&beside.rest, natural) {
            (Some(rest), Ok(Some(natural))) if is_same(rest, &natural) => None,
            (Some(rest), _) => {
                beside.way = self.way(&beside.way, rest)?;
                let path = [b"/".as_slice(), &beside.way.to_bytes()].concat();
                Some((Name::Redirect, path))
            }
            (None, Ok(Some(natural))) if natural.kind() == Kind::Dir => {
                Some((Name::Opaque, Opaque::YES.to_vec()))
            }
            // What cannot be looked up has to be hidden.
            (None, Err(_)) => Some((Name::Opaque, Opaque::YES.to_vec())),
            (None, Ok(_)) => None,
        };
        Ok((beside, mark.into_iter().collect()))
    }

    /// What the layers that stay show at a name, without anything above.
    fn natural(&self, parent: &Beside, name: &[u8]) -> Result<Option<Node>> {
        match &parent.rest {
            Some(rest) => self.whole.lookup(rest, name),
            None => Ok(None),
        }
    }

    /// A path that leads to `rest` in the layers that stay.
    fn way(&self, way: &Place, rest: &Node) -> Result<Place> {
        for way in [way, rest.entry().place()] {
            match self.lower.at(way) {
                Ok(Some(found)) if is_same(&found, rest) => return Ok(way.clone()),
                _ => {}
            }
        }
        let path = rest.entry().shown();
        let what =
            "merge what is above it: no path of the lower layers leads there; flatten all of them";
        Err(Error::system(&path, what, Errno::NOENT))
    }

    /// Makes the whiteouts of a directory in the new layer.
    pub(super) fn whiteouts(&self, beside: &Beside, node: &Node, out: &Entry) -> Result<()> {
        if beside.rest.is_none() {
            return Ok(());
        }
        let parts = node.parts().iter();
        for part in parts.take_while(|part| part.layer < self.merged) {
            let mut names = Vec::new();
            part.entry.each_name(|name, kind| {
                if matches!(kind, Kind::CharDevice | Kind::File | Kind::Unknown) {
                    names.push(name.to_vec());
                }
                true
            })?;
            for name in names {
                let entry = part.entry.child(&name)?;
                let hides = entry.is_some_and(|entry| entry.whiteout().is_some());
                if hides && self.hidden(beside, node, &name)? {
                    object::whiteout(out, &name)?;
                }
            }
        }
        Ok(())
    }

    /// Whether a name shows nothing, but would in the layers that stay.
    fn hidden(&self, beside: &Beside, node: &Node, name: &[u8]) -> Result<bool> {
        if self.whole.lookup(node, name)?.is_some() {
            return Ok(false);
        }
        Ok(!matches!(self.natural(beside, name), Ok(None)))
    }
}
