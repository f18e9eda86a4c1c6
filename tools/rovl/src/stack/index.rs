// SPDX-License-Identifier: GPL-2.0

//! The index: by it a mount with `index=on` finds a file that was copied up under its other names, which are hard
//! links in a lower layer.

use super::{Node, Part, Stack};
use crate::layer::{Closed, Decoded, Entry, Handles, Id, Kind, Layer, Result};
use ondisk::{index, workdir};
use rustix::io::Errno;
use std::collections::HashMap;

/// The files that were copied up, by what they were in a lower layer.
#[derive(Debug)]
pub(super) struct Index(HashMap<Id, Closed>);

impl Index {
    fn read(work: &Layer, lower: &Handles) -> Result<Self> {
        let mut files = HashMap::new();
        let dir = work.root()?.child(workdir::INDEX.to_bytes())?;
        let Some(dir) = dir.filter(|dir| dir.kind() == Kind::Dir) else {
            return Ok(Self(files));
        };
        for listed in dir.list()? {
            let mut bytes = index::Bytes::default();
            let Ok(handle) = index::parse(&listed.name, &mut bytes) else {
                continue;
            };
            let Some(entry) = dir.child(&listed.name)? else {
                continue;
            };
            if entry.kind() == Kind::Dir || entry.whiteout().is_some() {
                continue;
            }
            match lower.decode(handle) {
                Decoded::Object(id, _) => drop(files.insert(id, entry.closed())),
                Decoded::Gone => {}
                Decoded::Unknown => {
                    let what = "find what this entry of the index is for";
                    return Err(entry.error(what, Errno::PERM));
                }
            }
        }
        Ok(Self(files))
    }

    fn find(&self, lower: &Entry) -> Result<Option<Entry>> {
        let found = self.0.get(&lower.id());
        found.map(|closed| closed.open(None)).transpose()
    }
}

impl Stack {
    /// The same stack, mounted with `index=on` and this work directory.
    pub fn with_index(mut self, work: &Layer) -> Result<Self> {
        let lower = self.merged.iter().skip(usize::from(self.has_upper));
        let lower = Handles::of(lower.chain(&self.data));
        self.index = Some(Index::read(work, &lower)?);
        Ok(self)
    }

    /// Whether the index is looked at.
    pub fn has_index(&self) -> bool {
        self.index.is_some()
    }

    /// What the index has in place of a file of a lower layer, which is `node` without it.
    pub(super) fn indexed(&self, node: Node) -> Result<Node> {
        let lower = node.kind() != Kind::Dir && node.top().layer > 0;
        let Some(index) = self.index.as_ref().filter(|_| lower) else {
            return Ok(node);
        };
        let Some(entry) = index.find(node.entry())? else {
            return Ok(node);
        };
        let metacopy = entry.is_metacopy()?;
        let (place, mut parts, data_place) = node.into_parts();
        // Its data is where that of the lower file is.
        let data = parts.pop().filter(|_| metacopy && data_place.is_none());
        let top = Part { layer: 0, entry };
        let parts = [Some(top), data].into_iter().flatten().collect();
        let data_place = data_place.filter(|_| metacopy);
        Ok(Node::new(place, parts, data_place).found_by_index())
    }
}
