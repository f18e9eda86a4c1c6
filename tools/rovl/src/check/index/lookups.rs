// SPDX-License-Identifier: GPL-2.0

//! Entries that are not for what is shown: a lookup that comes by them fails (EIO).

use super::Index;
use crate::check::finding::{Finding, Findings};
use crate::check::kind::Kind;
use crate::check::repair::{Step, Target};
use crate::layer::Decoded;
use crate::layer::{Closed, Entry, Id, Kind as Type, Result};
use crate::show::name;
use crate::stack::Node;
use ondisk::file_handle::FileHandle;
use ondisk::Name;
use std::collections::HashMap;

/// Entries by the lower object that they are for.
#[derive(Default)]
pub(super) struct Lookups {
    /// Of directories, with the upper one.
    dirs: HashMap<Id, (Closed, Id)>,
    /// Whiteouts.
    whiteouts: HashMap<Id, Closed>,
}

impl Lookups {
    /// Whether there are none.
    pub(super) fn is_empty(&self) -> bool {
        self.dirs.is_empty() && self.whiteouts.is_empty()
    }

    /// Adds the entry of a lower directory, for this upper one.
    pub(super) fn add_dir(&mut self, lower: Id, entry: &Entry, upper: Id) {
        self.dirs.insert(lower, (entry.closed(), upper));
    }

    /// Adds a whiteout, for a lower object.
    pub(super) fn add_whiteout(&mut self, lower: Id, entry: &Entry) {
        self.whiteouts.insert(lower, entry.closed());
    }

    /// Compares them with something that is shown. Each is told of once.
    pub(super) fn compare(
        &mut self,
        index: &Index<'_>,
        node: &Node,
        out: &mut Findings,
    ) -> Result<()> {
        let Some(origin) = self.origin(index, node)? else {
            return Ok(());
        };
        let shown = node.entry().shown();
        if let Some(entry) = self.whiteouts.remove(&origin) {
            let entry = entry.open(None)?;
            let sentence = format!(
                "It says that its origin was removed, and {} shows that: a lookup fails (EIO).",
                name(&shown)
            );
            let finding = Finding::new(Kind::IndexWhiteout, &entry, sentence);
            out.push(finding.repaired_by("remove it", vec![Step::Remove(Target::of(&entry))]));
        }
        let upper = node.part(0).map(Entry::id);
        let differs = |(_, own): &(Closed, Id)| node.kind() == Type::Dir && upper != Some(*own);
        if self.dirs.get(&origin).is_some_and(differs) {
            if let Some((entry, _)) = self.dirs.remove(&origin) {
                let entry = entry.open(None)?;
                let sentence = format!(
                    "It is for another upper directory than that which {} shows with its origin: with \
                     nfs_export=on a lookup fails (EIO).",
                    name(&shown)
                );
                let finding = Finding::new(Kind::IndexDirUnmerged, &entry, sentence);
                out.push(finding.repaired_by("remove it", vec![Step::Remove(Target::of(&entry))]));
            }
        }
        Ok(())
    }

    /// The lower object by which a lookup looks for an entry.
    fn origin(&self, index: &Index<'_>, node: &Node) -> Result<Option<Id>> {
        let lower = node.parts().iter().find(|part| part.layer > 0);
        let is_upper_file = node.kind() != Type::Dir && node.top().layer == 0;
        if !is_upper_file {
            return Ok(lower.map(|part| part.entry.id()));
        }
        if self.whiteouts.is_empty() {
            return Ok(None);
        }
        let value = node
            .entry()
            .overlay_xattr(Name::Origin)?
            .unwrap_or_default();
        let decoded = FileHandle::parse(&value).map(|handle| index.lower.decode(handle));
        Ok(match decoded {
            Ok(Decoded::Object(id, _)) => Some(id),
            _ => None,
        })
    }
}
