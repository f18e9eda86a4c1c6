// SPDX-License-Identifier: GPL-2.0

//! What is seen of the layers of an inode at one moment.

use super::{
    deferred::Deferred,
    LowerEntry, //
};
use vfs::{
    dentry::Dentry,
    Foreign, //
};

/// What shows of the lower dentries of an inode at one moment, topmost first.
#[derive(Clone, Copy)]
pub struct Lowers<'a> {
    pub(super) entries: &'a [LowerEntry],
    pub(super) deferred: Option<&'a Deferred>,
}

impl<'a> Lowers<'a> {
    /// The entries, topmost first, without one that was found after the inode was published.
    #[inline]
    pub fn as_slice(self) -> &'a [LowerEntry] {
        self.entries
    }

    /// The entries, topmost first, with the one that has the data of a file also where it was found
    /// after the inode was published.
    pub fn iter_found(self) -> impl Iterator<Item = &'a LowerEntry> {
        let late = self.deferred.and_then(Deferred::data);
        Iterator::chain(self.entries.iter(), late)
    }

    /// The number of layers, without one that is looked for when it is needed.
    #[inline]
    pub fn len(self) -> usize {
        self.entries.len()
    }

    /// Whether there is no layer.
    #[inline]
    pub fn is_empty(self) -> bool {
        self.entries.is_empty()
    }

    /// The topmost entry.
    #[inline]
    pub fn first(self) -> Option<&'a LowerEntry> {
        self.entries.first()
    }

    /// Whether there is more than one layer, also if the one with the data of a file has not been
    /// looked for yet.
    #[inline]
    pub fn is_merged(self) -> bool {
        self.entries.len() > 1 || self.deferred.is_some()
    }

    /// The lowest entry, which holds the data of a file. `None` also where it has not been looked
    /// for yet.
    #[inline]
    pub fn data(self) -> Option<&'a LowerEntry> {
        match self.deferred {
            Some(deferred) => deferred.data(),
            None => self.entries.last(),
        }
    }

    /// Where the data is, of a file whose data is not looked for before it is needed.
    #[inline]
    pub fn deferred_place(self) -> Option<&'a [u8]> {
        self.deferred.map(Deferred::place)
    }
}

/// What an inode is made of at one moment.
#[derive(Clone, Copy)]
pub struct Now<'a> {
    /// The dentry in the upper layer, and the index of that layer.
    pub upper: Option<(&'a Dentry<Foreign>, usize)>,
    /// What shows of the lower ones. Of a file with an upper dentry that is its origin.
    pub lower: Lowers<'a>,
}
