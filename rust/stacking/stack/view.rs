// SPDX-License-Identifier: GPL-2.0

//! What is seen of the layers of an inode at one moment.

use super::{
    deferred::Deferred,
    LowerEntry,
    LowerStack, //
};
use vfs::{
    dentry::Dentry,
    Foreign, //
};

/// What shows of the lower dentries of an inode at one moment, topmost first.
#[derive(Clone, Copy)]
pub struct Lowers<'a>(pub(super) &'a LowerStack<'a>);

impl<'a> Lowers<'a> {
    /// The entries, topmost first, without one that was found after the inode was published.
    #[inline]
    pub fn as_slice(self) -> &'a [LowerEntry] {
        self.0.as_slice()
    }

    /// The entries, topmost first, with the one that has the data of a file also where it was found
    /// after the inode was published.
    #[inline]
    pub fn iter_found(self) -> impl Iterator<Item = &'a LowerEntry> {
        self.0.iter_found()
    }

    /// The number of layers, without one that is looked for when it is needed.
    #[inline]
    pub fn len(self) -> usize {
        self.0.len()
    }

    /// Whether there is no layer.
    #[inline]
    pub fn is_empty(self) -> bool {
        self.0.is_empty()
    }

    /// The topmost entry.
    #[inline]
    pub fn first(self) -> Option<&'a LowerEntry> {
        self.0.first()
    }

    /// Whether there is more than one layer, also if the one with the data of a file has not been
    /// looked for yet.
    #[inline]
    pub fn is_merged(self) -> bool {
        self.0.is_merged()
    }

    /// The lowest entry, which holds the data of a file. `None` also where it has not been looked
    /// for yet.
    #[inline]
    pub fn data(self) -> Option<&'a LowerEntry> {
        match self.0.deferred() {
            Some(deferred) => deferred.data(),
            None => self.0.as_slice().last(),
        }
    }

    /// Where the data is, of a file whose data is not looked for before it is needed.
    #[inline]
    pub fn deferred_place(self) -> Option<&'a [u8]> {
        self.0.deferred().map(Deferred::place)
    }
}

/// What an inode is made of at one moment.
#[derive(Clone, Copy)]
pub struct Now<'a> {
    /// The dentry in the upper layer.
    pub upper: Option<&'a Dentry<Foreign>>,
    /// The index of the layer of `upper`.
    pub upper_layer: usize,
    /// What shows of the lower ones. Of a file with an upper dentry that is its origin.
    pub lower: Lowers<'a>,
}
