// SPDX-License-Identifier: GPL-2.0

//! What was removed here and added there, and is the same.
//!
//! A redirect says where a directory was, or a file without data. Of other files the origin tells, if
//! the file systems below have file handles: it is the handle of the lower file that was copied up.

use super::{aspects, Aspects, Differences, Options, What};
use crate::layer::{Entry, Kind, Place, Result};
use crate::stack::{Node, Stack};
use crate::sys::{fs_uuid, FileHandle};
use ondisk::uuid::{self, Uuid};
use ondisk::{file_handle, Name};
use rustix::fs::{Mode, OFlags};
use std::collections::{HashMap, HashSet};

/// A file handle: its type and its bytes.
type Handle = (u8, Vec<u8>);

/// A file that was removed.
struct Removed {
    /// The number of the change.
    number: usize,
    /// The file system that it is on, or zeros where that is not known.
    uuid: Uuid,
}

/// A file that was added and has an origin.
struct Added {
    /// The number of the change.
    number: usize,
    origin: Handle,
    /// The file system that the origin is on, or zeros.
    uuid: Uuid,
}

/// What is known of renames while two stacks are compared.
#[derive(Default)]
pub(super) struct Renames {
    /// Where things were that are somewhere else by their redirects.
    from: HashSet<Vec<u8>>,
    removed: HashMap<Handle, Removed>,
    added: Vec<Added>,
    /// The file systems by their devices.
    uuids: HashMap<(u32, u32), Uuid>,
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
                let uuid = self.uuid(node.entry());
                let removed = Removed { number, uuid };
                self.removed.insert((kind, handle.bytes), removed);
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
            self.added.push(Added {
                number,
                origin: (handle.fid_type(), handle.fid().to_vec()),
                uuid: handle.uuid(),
            });
        }
        Ok(())
    }

    /// The UUID of the file system that `entry` is on.
    fn uuid(&mut self, entry: &Entry) -> Uuid {
        let read = || {
            let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
            let root = rustix::fs::openat(entry.layer(), ".", flags, Mode::empty()).ok()?;
            fs_uuid(&root).ok()
        };
        let known = self.uuids.entry(entry.id().dev);
        *known.or_insert_with(|| read().unwrap_or(uuid::NULL))
    }

    /// Makes one change of what was two.
    pub(super) fn apply(
        self,
        found: &mut Differences,
        (before, after): (&Stack, &Stack),
        options: Options,
    ) {
        let mut gone: HashSet<usize> = HashSet::new();
        for added in self.added {
            let is_it = |removed: &&Removed| {
                let unknown = uuid::is_null(&added.uuid) || uuid::is_null(&removed.uuid);
                unknown || removed.uuid == added.uuid
            };
            let Some(removed) = self.removed.get(&added.origin).filter(is_it) else {
                continue;
            };
            let removed = removed.number;
            let old = found
                .changes
                .get(removed)
                .and_then(|change| change.before.clone());
            let Some((old, new)) = old.zip(found.changes.get_mut(added.number)) else {
                continue;
            };
            // An inode that was used again for something else.
            if new
                .after
                .as_ref()
                .is_none_or(|after| after.kind() != old.kind())
            {
                continue;
            }
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
