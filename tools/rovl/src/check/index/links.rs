// SPDX-License-Identifier: GPL-2.0

//! The numbers of links of what is in the index, compared with the names that are shown.

use crate::check::finding::{Finding, Findings};
use crate::check::kind::Kind;
use crate::check::repair::{Step, Target};
use crate::layer::Decoded;
use crate::layer::{Closed, Entry, Id, Kind as Type, Result};
use crate::show::name;
use crate::stack::Node;
use ondisk::nlink::{Base, Nlink};
use ondisk::{Fault, Name};
use std::collections::HashMap;

/// Entries whose names are counted.
#[derive(Default)]
pub(super) struct Links {
    files: Vec<File>,
    /// Names of the upper object and of the lower one are names of one file.
    by_id: HashMap<Id, usize>,
}

/// An entry, and how often it is shown.
struct File {
    entry: Closed,
    names: u32,
}

impl Links {
    /// Whether there are none.
    pub(super) fn is_empty(&self) -> bool {
        self.files.is_empty()
    }

    /// Adds an entry, and what it was copied up from.
    pub(super) fn add(&mut self, entry: &Entry, origin: Decoded) {
        let number = self.files.len();
        self.by_id.insert(entry.id(), number);
        if let Decoded::Object(id, _) = origin {
            self.by_id.insert(id, number);
        }
        self.files.push(File {
            entry: entry.closed(),
            names: 0,
        });
    }

    /// Counts a name that is shown.
    pub(super) fn count(&mut self, node: &Node) {
        if node.kind() == Type::Dir {
            return;
        }
        let number = self.by_id.get(&node.entry().id());
        if let Some(file) = number.and_then(|number| self.files.get_mut(*number)) {
            file.names = file.names.saturating_add(1);
        }
    }

    /// Compares, after all names.
    pub(super) fn check(self, out: &mut Findings) -> Result<()> {
        for file in self.files {
            check(&file.entry.open(None)?, file.names, out)?;
        }
        Ok(())
    }
}

/// Compares what an entry says with the number of names that are `shown`.
fn check(entry: &Entry, shown: u32, out: &mut Findings) -> Result<()> {
    let value = entry.overlay_xattr(Name::Nlink)?;
    let links = entry.stat().nlink;
    if shown == 0 && links == 1 {
        let sentence = "It has no name any more.";
        let finding = Finding::new(Kind::IndexOrphan, entry, sentence);
        out.push(finding.repaired_by("remove it", vec![Step::Remove(Target::of(entry))]));
        return Ok(());
    }
    let right = Nlink::new(Base::Upper, shown, links).encode();
    let steps = vec![Step::Set(
        Target::of(entry),
        Name::Nlink,
        right.as_bytes().to_vec(),
    )];
    let text = format!(
        "set it to \"{}\", for the names that are shown: {shown}",
        name(right.as_bytes())
    );
    let mut push = |kind, sentence: String| {
        out.push(Finding::new(kind, entry, sentence).repaired_by(text.clone(), steps.clone()));
    };
    match value.as_deref().map(|value| (value, Nlink::parse(value))) {
        Some((value, Err(fault))) => push(
            Kind::DamagedNlink,
            format!("The attribute nlink is \"{}\": {}.", name(value), fault.message()),
        ),
        // What a number relative to the lower object says is known when the copy up has ended.
        Some((_, Ok(nlink))) if nlink.base == Base::Lower => {}
        Some((value, Ok(nlink))) => match nlink.apply(links) {
            None => push(
                Kind::NlinkImpossible,
                format!(
                    "The attribute nlink is \"{}\" for a file of {links} links: a mount may take it for removed.",
                    name(value)
                ),
            ),
            Some(says) if says != shown => push(
                Kind::NlinkWrong,
                format!("It shows {says} links, and has {}.", crate::show::count(shown.into(), "name")),
            ),
            Some(_) => {}
        },
        None if links == 1 => push(
            Kind::NlinkImpossible,
            "It has no attribute nlink and no other link: a mount takes it for removed.".to_owned(),
        ),
        None => {}
    }
    Ok(())
}
