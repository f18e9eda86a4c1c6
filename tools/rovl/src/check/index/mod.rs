// SPDX-License-Identifier: GPL-2.0

//! The index: what binds it to its layers, and its entries.

mod dir_entry;
mod file_entry;
mod links;
mod lookups;
mod shown;

use super::finding::{Finding, Findings};
use super::kind::Kind;
use super::repair::{Step, Target};
use crate::layer::{Decoded, Handles};
use crate::layer::{Entry, Id, Kind as Type, Layer, Result};
use crate::show::name;
use crate::stack::Stack;
use ondisk::file_handle::FileHandle;
use ondisk::{index, temp_name, workdir, Name};
use shown::Shown;
use std::collections::HashMap;

/// The index of an overlay.
pub struct Index<'a> {
    /// The directory.
    pub dir: Entry,
    /// All layers.
    pub stack: &'a Stack,
    /// The file system of the upper layer.
    pub upper: &'a Handles,
    /// Those of the lower layers.
    pub lower: &'a Handles,
}

/// What is linked as an entry: its name in the index.
pub type Indexed = HashMap<Id, Vec<u8>>;

/// An entry whose name was read.
struct Named<'a> {
    entry: &'a Entry,
    /// The origin that the name says.
    handle: FileHandle<'a>,
    /// What that is.
    origin: Decoded,
}

/// Opens the index, if the work directory has one.
pub fn open(work: &Layer) -> Result<Option<Entry>> {
    let found = work.root()?.child(workdir::INDEX.to_bytes())?;
    Ok(found.filter(|entry| entry.kind() == Type::Dir))
}

/// The objects that are entries.
pub fn indexed(dir: &Entry, out: &mut Findings) -> Indexed {
    let mut all = Indexed::new();
    for listed in out.take(dir.list()).unwrap_or_default() {
        if let Some(Some(entry)) = out.take(dir.child(&listed.name)) {
            if entry.kind() != Type::Dir {
                all.insert(entry.id(), listed.name.into());
            }
        }
    }
    all
}

impl Index<'_> {
    /// Looks at all of it.
    pub fn check(&self, out: &mut Findings) -> Result<()> {
        self.check_binding(out)?;
        let mut shown = Shown::default();
        for listed in self.dir.list()? {
            let Some(Some(entry)) = out.take(self.dir.child(&listed.name)) else {
                continue;
            };
            let result = self.check_entry(&entry, &listed.name, &mut shown, out);
            out.take(result);
        }
        shown.check(self, out)
    }

    fn check_entry(
        &self,
        entry: &Entry,
        entry_name: &[u8],
        shown: &mut Shown,
        out: &mut Findings,
    ) -> Result<()> {
        if temp_name::is_leftover(entry_name) {
            let sentence = "A mount has left it, and the next one removes it.";
            let finding = Finding::new(Kind::IndexLeftover, entry, sentence);
            out.push(finding.repaired_by("remove it", vec![Step::Remove(Target::of(entry))]));
            return Ok(());
        }
        let mut bytes = index::Bytes::default();
        let handle = match index::parse(entry_name, &mut bytes) {
            Ok(handle) => handle,
            Err(fault) => return self.wrong_name(entry, &fault.to_string(), out),
        };
        let named = Named {
            entry,
            handle,
            origin: self.lower.decode(handle),
        };
        if entry.whiteout().is_some() {
            if let Decoded::Object(lower, _) = named.origin {
                shown.lookups.add_whiteout(lower, entry);
            }
            return Ok(());
        }
        match entry.kind() {
            Type::Dir => dir_entry::check(self, &named, &mut shown.lookups, out),
            _ => file_entry::check(&named, &mut shown.links, out),
        }
    }

    /// The right name is that of the origin. What has other links is not lost with its entry.
    fn wrong_name(&self, entry: &Entry, fault: &str, out: &mut Findings) -> Result<()> {
        let sentence = format!(
            "Its name cannot be read ({fault}): with index=on a mount is refused (EINVAL)."
        );
        let finding = Finding::new(Kind::IndexName, entry, sentence);
        let origin = entry.overlay_xattr(Name::Origin)?.unwrap_or_default();
        let right = FileHandle::parse(&origin).ok().and_then(index::name);
        let right = match right {
            Some(right) if self.dir.child(&right)?.is_none() => Some(right),
            _ => None,
        };
        let target = Target::of(entry);
        let may_go =
            entry.kind() == Type::Dir || entry.whiteout().is_some() || entry.stat().nlink > 1;
        out.push(match right {
            Some(right) if entry.kind() != Type::Dir => {
                let text = format!("call it like its origin, {}", name(right.as_bytes()));
                finding.repaired_by(text, vec![Step::Rename(target, right.as_bytes().to_vec())])
            }
            _ if may_go => finding.repaired_by("remove it", vec![Step::Remove(target)]),
            _ => finding,
        });
        Ok(())
    }

    /// The upper layer that it is bound to.
    fn check_binding(&self, out: &mut Findings) -> Result<()> {
        let Some(value) = self.dir.overlay_xattr(Name::Upper)? else {
            return Ok(());
        };
        let Some(upper) = self.stack.layers().first() else {
            return Ok(());
        };
        let root = upper.root()?;
        match FileHandle::parse(&value).map(|handle| self.upper.decode(handle)) {
            Ok(Decoded::Object(id, _)) if id == root.id() => return Ok(()),
            Ok(Decoded::Unknown) => return Ok(()),
            _ => {}
        }
        let sentence = format!(
            "It is bound to another upper layer than {}: with index=on a mount is refused (ESTALE).",
            name(upper.path())
        );
        let finding = Finding::new(Kind::IndexUpper, &self.dir, sentence);
        out.push(match self.upper.encode(&root, true) {
            Some(handle) => {
                let steps = vec![Step::Set(Target::of(&self.dir), Name::Upper, handle)];
                finding.repaired_by("bind it to this one", steps)
            }
            None => finding,
        });
        Ok(())
    }
}
