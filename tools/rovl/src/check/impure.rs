// SPDX-License-Identifier: GPL-2.0

//! Marks of directories that have entries which were copied up.

use super::finding::{Finding, Findings};
use super::handles::Handles;
use super::kind::Kind;
use super::origin;
use super::repair::{Step, Target};
use super::subject::Subject;
use crate::layer::{Entry, Kind as Type, Result};
use crate::show::name;
use ondisk::marker::{is_impure, IMPURE};
use ondisk::Name;

/// Whether an entry needs the mark on its directory: its inode number is that of another object. One whose
/// origin is not there has its own, and a mount removes the mark that is for such only.
pub fn needs(subject: &Subject<'_>, lower: &Handles) -> Result<bool> {
    let merged = subject.entry.kind() == Type::Dir
        && matches!(subject.node, Ok(Some(node)) if node.is_merged());
    Ok(merged || origin::is_known(subject, lower)?)
}

/// Looks at a directory of the upper layer, after all its entries.
pub fn check(dir: &Entry, needed: bool, out: &mut Findings) -> Result<()> {
    let value = dir.overlay_xattr(Name::Impure)?;
    let set = vec![Step::Set(Target::of(dir), Name::Impure, IMPURE.to_vec())];
    let unset = vec![Step::Unset(Target::of(dir), Name::Impure)];
    let finding = |kind, sentence: String| Finding::new(kind, dir, sentence);
    match (value.as_deref(), needed) {
        (Some(value), _) if !is_impure(value) => {
            let sentence = format!(
                "The attribute impure is \"{}\" and not \"y\": it counts as absent.",
                name(value)
            );
            let found = finding(Kind::InvalidImpure, sentence);
            out.push(if needed {
                found.repaired_by("set it to \"y\"", set)
            } else {
                found.repaired_by("remove the attribute", unset)
            });
        }
        (None, true) => {
            let sentence =
                "It has entries with an origin, and no attribute impure: their inode numbers \
                            change with a mount.";
            let found = finding(Kind::MissingImpure, sentence.into());
            out.push(found.repaired_by("set the attribute", set));
        }
        (Some(_), false) => {
            let sentence = "It has the attribute impure, and no entries with an origin any more.";
            let found = finding(Kind::NeedlessImpure, sentence.into());
            out.push(found.repaired_by("remove the attribute", unset));
        }
        _ => {}
    }
    Ok(())
}
