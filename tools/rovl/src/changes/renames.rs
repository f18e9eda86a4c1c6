// SPDX-License-Identifier: GPL-2.0

//! What was removed here and added there, and is the same.
//!
//! A redirect says where a directory was, or a file without data. Of other files the origin tells, if
//! the file systems below have file handles: it is the handle of the lower file that was copied up.

use super::{aspects, Aspects, Differences, Options, What};
use crate::layer::{Kind, Place, Result};
use crate::stack::{Node, Stack};
use crate::sys::FileHandle;
use ondisk::file_handle;
use ondisk::Name;
use std::collections::{HashMap, HashSet};

/// A file handle: its type and its bytes.
type Handle = (u8, Vec<u8>);

/// What is known of renames while two stacks are compared.
#[derive(Default)]
pub(super) struct Renames {
    /// Where things were that are somewhere else by their redirects.
    from: HashSet<Vec<u8>>,
    /// The numbers of the changes by which files were removed.
    removed: HashMap<Handle, usize>,
    /// The numbers of the changes by which files were added that have an origin.
    added: Vec<(usize, Handle)>,
}

impl Renames {
    /// Something is not at `place` any more, but where a redirect says.
    pub(super) fn from(&mut self, place: &Place) {
        self.from.insert(place.to_bytes());
    }

    /// The change `number` is that `node` was removed.
    pub(super) fn removed(&mut self, number: usize, node: &Node) {
        if node.kind() == Kind::Dir {
            return;
        }
        // Without handles nothing is found.
        if let Ok(handle) = FileHandle::of(node.entry()) {
            if let Ok(kind) = u8::try_from(handle.kind) {
                self.removed.insert((kind, handle.bytes), number);
            }
        }
    }

    /// The change `number` is that `node` was added.
    pub(super) fn added(&mut self, number: usize, node: &Node) -> Result<()> {
        if node.kind() == Kind::Dir {
            return Ok(());
        }
        let Some(value) = node.entry().overlay_xattr(Name::Origin)? else {
            return Ok(());
        };
        if let Ok(handle) = file_handle::FileHandle::parse(&value) {
            let handle = (handle.fid_type(), handle.fid().to_vec());
            self.added.push((number, handle));
        }
        Ok(())
    }

    /// Makes one change of what was two.
    pub(super) fn apply(
        self,
        found: &mut Differences,
        (before, after): (&Stack, &Stack),
        options: Options,
    ) {
        let mut gone: HashSet<usize> = HashSet::new();
        for (number, handle) in self.added {
            let Some(&removed) = self.removed.get(&handle) else {
                continue;
            };
            let old = found
                .changes
                .get(removed)
                .and_then(|change| change.before.clone());
            let Some((old, new)) = old.zip(found.changes.get_mut(number)) else {
                continue;
            };
            // Of several names that a file has now, the first one took the place of the old.
            if !gone.insert(removed) {
                continue;
            }
            let both = (before, &old.place, after, &new.place);
            match aspects_between(both, options) {
                Ok(aspects) => new.what = What::Renamed(old.place.clone(), aspects),
                Err(error) => found.errors.push(error),
            }
            new.before = Some(old);
        }
        let mut number = 0usize;
        found.changes.retain(|change| {
            let this = number;
            number = number.saturating_add(1);
            let old = change
                .before
                .as_ref()
                .filter(|_| change.what == What::Removed);
            let moved = old.is_some_and(|old| self.from.contains(&old.place.to_bytes()));
            !moved && !gone.contains(&this)
        });
    }
}

fn aspects_between(
    (before, old, after, new): (&Stack, &Place, &Stack, &Place),
    options: Options,
) -> Result<Aspects> {
    match (before.at(old)?, after.at(new)?) {
        (Some(old), Some(new)) => aspects((before, &old), (after, &new), options.times),
        _ => Ok(Aspects::default()),
    }
}
