// SPDX-License-Identifier: GPL-2.0

//! The numbers of links of what is in the index, compared with the names that are shown.

use super::Index;
use crate::check::finding::{Finding, Findings};
use crate::check::handles::Decoded;
use crate::check::kind::Kind;
use crate::check::repair::{Step, Target};
use crate::layer::{Entry, Id, Kind as Type, Result};
use crate::show::name;
use crate::stack::Visit;
use ondisk::nlink::{Base, Nlink};
use ondisk::{Fault, Name};
use std::collections::HashMap;

/// Entries whose names are counted.
#[derive(Default)]
pub(super) struct Links {
    entries: Vec<(Entry, Option<Id>)>,
}

impl Links {
    /// Adds an entry, and what it was copied up from.
    pub(super) fn add(&mut self, entry: Entry, origin: Decoded) {
        let origin = match origin {
            Decoded::Object(id, _) => Some(id),
            _ => None,
        };
        self.entries.push((entry, origin));
    }

    /// Counts the names, and compares.
    pub(super) fn check(self, index: &Index<'_>, out: &mut Findings) -> Result<()> {
        if self.entries.is_empty() {
            return Ok(());
        }
        // Names of the upper object and of the lower one are names of one file.
        let mut counts: HashMap<Id, usize> = HashMap::new();
        for (at, (entry, origin)) in self.entries.iter().enumerate() {
            for id in std::iter::once(entry.id()).chain(*origin) {
                counts.insert(id, at);
            }
        }
        let mut names = vec![0_u32; self.entries.len()];
        let mut walk = index.stack.walk()?;
        loop {
            let node = match walk.step() {
                Ok(None) => break,
                Ok(Some(Visit::Enter(node))) => node,
                Ok(Some(Visit::Leave(_))) => continue,
                // It was told where the layer itself was looked at; what is not counted is not judged.
                Err(_) => return Ok(()),
            };
            if node.kind() == Type::Dir {
                continue;
            }
            if let Some(count) = counts
                .get(&node.entry().id())
                .and_then(|at| names.get_mut(*at))
            {
                *count = count.saturating_add(1);
            }
        }
        for ((entry, _), shown) in self.entries.iter().zip(names) {
            check(entry, shown, out)?;
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
