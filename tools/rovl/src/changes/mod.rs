// SPDX-License-Identifier: GPL-2.0

//! What an upper layer changes, from it alone or beside the layers below, and how two stacks differ.

mod alone;
mod compare;
mod object;
mod renames;
mod text;

pub use alone::of_layer;
pub use compare::{compare, Options};
pub use object::{aspects, is_same};
pub use text::{unified, Text};

use crate::layer::{Entry, Error, Kind, Place, Stat};

/// A difference.
#[derive(Clone, Debug)]
pub struct Change {
    /// Where it is. What was removed is not there any more.
    pub place: Place,
    /// What was done.
    pub what: What,
    /// What was there before, as far as that is known.
    pub before: Option<Summary>,
    /// What is there now.
    pub after: Option<Summary>,
}

/// What was done to an object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum What {
    /// It is new.
    Added,
    /// It is gone, with all that was in it.
    Removed,
    /// It is different.
    Changed(Aspects),
    /// It was somewhere else, and may be different, too.
    Renamed(Place, Aspects),
}

/// In which respects an object is different.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub struct Aspects {
    /// The type.
    pub kind: bool,
    /// The content of a file, where a symbolic link leads, or which device it is.
    pub content: bool,
    /// The permissions.
    pub mode: bool,
    /// The owner or the group.
    pub owner: bool,
    /// The extended attributes.
    pub xattrs: bool,
    /// The time of the last change.
    pub times: bool,
    /// It was copied up: what is different is only known beside the layers below.
    pub unknown: bool,
}

impl Aspects {
    /// Whether it is different at all.
    pub fn any(self) -> bool {
        self != Self::default()
    }

    /// The names of the respects.
    pub fn names(self) -> Vec<&'static str> {
        let all = [
            (self.kind, "type"),
            (self.content, "content"),
            (self.mode, "mode"),
            (self.owner, "owner"),
            (self.xattrs, "xattrs"),
            (self.times, "times"),
        ];
        let set = all.into_iter().filter(|(set, _)| *set);
        set.map(|(_, name)| name).collect()
    }
}

/// What there is to say of an object once it is closed.
#[derive(Clone, Debug)]
pub struct Summary {
    /// Where it was found.
    pub place: Place,
    /// The attributes of what shows them.
    pub stat: Stat,
}

impl Summary {
    /// The type.
    pub fn kind(&self) -> Kind {
        self.stat.kind()
    }

    fn of_entry(entry: &Entry, place: &Place) -> Self {
        Self {
            place: place.clone(),
            stat: *entry.stat(),
        }
    }

    fn of_node(node: &crate::stack::Node) -> Self {
        Self::of_entry(node.entry(), node.place())
    }
}

/// All differences, in the order of their paths, and what could not be compared.
#[derive(Debug, Default)]
pub struct Differences {
    /// The differences.
    pub changes: Vec<Change>,
    /// What went wrong; all else was compared.
    pub errors: Vec<Error>,
}
