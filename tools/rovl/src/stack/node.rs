// SPDX-License-Identifier: GPL-2.0

//! What a path shows.

use crate::layer::{Closed, Entry, Id, Keep, Kind, Place, Result, Stat};

/// An object of a layer that has a part in what is shown.
#[derive(Debug)]
pub struct Part {
    /// The number of the layer.
    pub layer: usize,
    /// The object.
    pub entry: Entry,
}

/// Something that a stack shows: a directory merged of one or more, or an object of one layer, whose
/// data may be elsewhere.
#[derive(Debug)]
pub struct Node {
    place: Place,
    /// Not empty.
    parts: Vec<Part>,
    /// Where the data-only layers have the data of a file.
    data_place: Option<Vec<u8>>,
    /// What shows the attributes is not at this place of the upper layer, but in the index.
    by_index: bool,
}

/// What makes two names one file: the object that shows the attributes, and where the data is. Names of one
/// object without data may lead to different data.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Identity {
    top: Id,
    data: Option<Id>,
    data_place: Option<Vec<u8>>,
}

/// A directory that was closed, because only so much can be open.
#[derive(Debug)]
pub struct ClosedNode {
    place: Place,
    parts: Vec<(usize, Closed)>,
}

impl Node {
    /// `parts` are not empty.
    pub(super) fn new(place: Place, parts: Vec<Part>, data_place: Option<Vec<u8>>) -> Self {
        debug_assert!(!parts.is_empty());
        Self {
            place,
            parts,
            data_place,
            by_index: false,
        }
    }

    /// The same, found by the index.
    pub(super) fn found_by_index(mut self) -> Self {
        self.by_index = true;
        self
    }

    /// What it is made of.
    pub(super) fn into_parts(self) -> (Place, Vec<Part>, Option<Vec<u8>>) {
        (self.place, self.parts, self.data_place)
    }

    /// Whether the upper layer has the file under other names only, and the index tells that this is one of them.
    pub fn is_by_index(&self) -> bool {
        self.by_index
    }

    /// Where it is shown.
    pub fn place(&self) -> &Place {
        &self.place
    }

    /// Of a directory, what is merged, the topmost first. Of a file, the object that shows the
    /// attributes, and that with the data if it is another one in a merged layer.
    pub fn parts(&self) -> &[Part] {
        &self.parts
    }

    /// The topmost object: it shows the attributes.
    #[allow(clippy::indexing_slicing, reason = "there is always one")]
    pub fn top(&self) -> &Part {
        &self.parts[0]
    }

    /// The object that shows the attributes.
    pub fn entry(&self) -> &Entry {
        &self.top().entry
    }

    /// The attributes.
    pub fn stat(&self) -> &Stat {
        self.entry().stat()
    }

    /// The type.
    pub fn kind(&self) -> Kind {
        self.entry().kind()
    }

    /// Whether it is a directory of more than one layer.
    pub fn is_merged(&self) -> bool {
        self.kind() == Kind::Dir && self.parts.len() > 1
    }

    /// The part of one layer.
    pub fn part(&self, layer: usize) -> Option<&Entry> {
        self.parts
            .iter()
            .find(|part| part.layer == layer)
            .map(|part| &part.entry)
    }

    /// What would be left of a directory without its topmost part, if something would.
    pub fn below(&self) -> Result<Option<Self>> {
        let parts = self.parts.iter().skip(1).map(|part| {
            let entry = part.entry.try_clone()?;
            Ok(Part {
                layer: part.layer,
                entry,
            })
        });
        let parts = parts.collect::<Result<Vec<_>>>()?;
        let left = self.kind() == Kind::Dir && !parts.is_empty();
        Ok(left.then(|| Self::new(self.place.clone(), parts, None)))
    }

    /// Where the data-only layers have the data, if it is not in a merged one.
    pub fn data_place(&self) -> Option<&[u8]> {
        self.data_place.as_deref()
    }

    /// What all names of a file have in common.
    pub fn identity(&self) -> Identity {
        Identity {
            top: self.entry().id(),
            data: self.parts.get(1).map(|part| part.entry.id()),
            data_place: self.data_place.clone(),
        }
    }

    /// The number of descriptors that it takes.
    pub(crate) fn weight(&self) -> usize {
        self.parts.len()
    }

    /// What is left when it is closed.
    pub fn closed(&self) -> ClosedNode {
        ClosedNode {
            place: self.place.clone(),
            parts: self
                .parts
                .iter()
                .map(|part| (part.layer, part.entry.closed()))
                .collect(),
        }
    }
}

impl ClosedNode {
    /// Opens it again. If `below` is a directory that was found in it, that is a short way.
    pub fn open(&self, below: Option<&Node>) -> Result<Node> {
        let mut parts = Vec::with_capacity(self.parts.len());
        for (layer, closed) in &self.parts {
            let hint = below.and_then(|below| below.part(*layer));
            parts.push(Part {
                layer: *layer,
                entry: closed.open(hint)?,
            });
        }
        Ok(Node::new(self.place.clone(), parts, None))
    }
}

impl Keep for Node {
    type Closed = ClosedNode;

    fn weight(&self) -> usize {
        self.weight()
    }

    fn close(&self) -> ClosedNode {
        self.closed()
    }

    fn open(closed: &ClosedNode, below: Option<&Self>) -> Result<Self> {
        closed.open(below)
    }
}
