// SPDX-License-Identifier: GPL-2.0

//! Which inode of the cache is the object that was found, where layers change.
//!
//! The cache knows an inode by what was its topmost lower part when it was made, which may be a part of another object
//! by now, or of one that is gone.

use crate::{
    object::inode::Parts,
    Rovl, //
};
use stacking::{
    prelude::*,
    stack::LowerEntry, //
};
use vfs::{
    dentry::Dentry,
    inode::Inode,
    super_block::SuperBlock,
    Foreign,
    Ref, //
};

impl Parts<'_> {
    /// Whether it is a directory.
    pub(crate) fn is_dir(&self) -> bool {
        self.top().is_some_and(Inode::is_dir)
    }

    /// The inode that shows the attributes.
    fn top(&self) -> Option<&Inode<Foreign>> {
        match &self.upper {
            Some(upper) => upper.inode(),
            None => self.lower.first()?.dentry().inode(),
        }
    }

    /// Whether a file, or anything else that is no directory, is the object that `inode` stands for.
    ///
    /// A copy up may just have put more on top than was found.
    pub(crate) fn is_file_of(&self, inode: &Inode<Rovl>) -> bool {
        let Some(top) = self.top() else {
            return false;
        };
        if inode.is_dir() || inode.wrong_type(top.mode()) || inode.nlink() == 0 {
            return false;
        }
        let mounts = &inode.sb().data().mounts;
        // A copy up has broken the link of the name that was copied up, and not of this one.
        let only_first = top.nlink() > 1;
        let upper = mounts.upper_index();
        for (place, entry) in inode.all_layers().unwrap_or_default().iter().enumerate() {
            if mounts.is_gone(entry.layer()) {
                return false;
            }
            if is_part(entry, top) {
                return place == 0 || !only_first;
            }
            if entry.layer() != upper {
                return false;
            }
        }
        false
    }

    /// Whether `inode` stands for the directory that was found, or for one that nobody finds by a name and that may
    /// become it.
    fn is_dir_of(&self, inode: &Inode<Rovl>) -> bool {
        if !inode.is_dir() || inode.nlink() == 0 {
            return false;
        }
        let first = inode.all_layers().unwrap_or_default().first();
        let is_top = first.is_some_and(|first| {
            let is_gone = inode.sb().data().mounts.is_gone(first.layer());
            !is_gone && self.top().is_some_and(|top| is_part(first, top))
        });
        is_top || !inode.has_dentries()
    }

    /// Whether `inode`, which the cache has for a part of the object, stands for it.
    pub(crate) fn is_of(&self, inode: &Inode<Rovl>) -> bool {
        if self.is_dir() {
            self.is_dir_of(inode)
        } else {
            self.is_file_of(inode)
        }
    }

    /// The inode that the cache has for the same object since before a layer was put on top: it is known by
    /// what was its topmost lower part then.
    ///
    /// A new one is known by what that is now, or, of a file of which a copy up will break the link, not
    /// at all. `origins`: what the topmost object was copied from, and so on, as far as it is not in `lower`.
    pub(crate) fn find_known<'b>(
        &self,
        sb: &'b SuperBlock<Rovl>,
        origins: &[Ref<'_, Dentry<Foreign>>],
    ) -> Option<Ref<'b, Inode<Rovl>>> {
        let mounts = &sb.data().mounts;
        let top_layer = match (&self.upper, self.lower.first()) {
            (Some(_), _) => self.upper_layer,
            (None, Some(first)) => first.layer(),
            (None, None) => return None,
        };
        if !mounts.was_upper(top_layer) {
            return None;
        }
        let lower = self.lower.as_slice().iter();
        let below = lower.filter_map(|entry| entry.dentry().inode());
        let origins = origins.iter().filter_map(|origin| origin.inode());
        Iterator::chain(self.top().into_iter(), Iterator::chain(below, origins))
            .filter_map(|key| sb.ilookup(key))
            .find(|inode| self.is_of(inode))
    }
}

fn is_part(entry: &LowerEntry, inode: &Inode<Foreign>) -> bool {
    entry.dentry().inode().is_some_and(|part| part.is(inode))
}
