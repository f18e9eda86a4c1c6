// SPDX-License-Identifier: GPL-2.0

//! Marks of directories that have entries which were copied up.

use super::finding::{Finding, Findings};
use super::kind::Kind;
use super::origin;
use super::repair::{Step, Target};
use super::subject::Subject;
use crate::layer::Handles;
use crate::layer::{Entry, Kind as Type, Result};
use crate::show::name;
use ondisk::marker::{is_impure, IMPURE};
use ondisk::Name;

/// What the entries of a directory have to do with the mark.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Need {
    /// Nothing.
    #[default]
    None,
    /// One merges with a lower directory. A mount that looks it up stores its origin, and sets the mark.
    Merge,
    /// One has an origin that is there: its inode number is that of another object. What has an origin that
    /// is not there has its own, and a mount removes a mark that is for such only.
    Origin,
}

/// What an entry has to do with the mark on its directory.
pub fn need(subject: &Subject<'_>, lower: &Handles) -> Result<Need> {
    if origin::is_known(subject, lower)? {
        return Ok(Need::Origin);
    }
    let is_dir = subject.entry.kind() == Type::Dir;
    let merges = is_dir && matches!(subject.node, Ok(Some(node)) if node.is_merged());
    Ok(if merges { Need::Merge } else { Need::None })
}

/// Looks at a directory of the upper layer, after all its entries.
pub fn check(dir: &Entry, need: Need, out: &mut Findings) -> Result<()> {
    let value = dir.overlay_xattr(Name::Impure)?;
    let set = vec![Step::Set(Target::of(dir), Name::Impure, IMPURE.to_vec())];
    let unset = vec![Step::Unset(Target::of(dir), Name::Impure)];
    let finding = |kind, sentence: String| Finding::new(kind, dir, sentence);
    match (value.as_deref(), need) {
        (Some(value), _) if !is_impure(value) => {
            let sentence = format!(
                "The attribute impure is \"{}\" and not \"y\": it counts as absent.",
                name(value)
            );
            let found = finding(Kind::InvalidImpure, sentence);
            out.push(if need > Need::None {
                found.repaired_by("set it to \"y\"", set)
            } else {
                found.repaired_by("remove the attribute", unset)
            });
        }
        (None, Need::Merge) => {
            let sentence =
                "It has entries that merge with lower directories, and no attribute impure. No \
                            mount has seen them yet: the next one sets it.";
            let found = finding(Kind::UnmarkedMerge, sentence.into());
            out.push(found.repaired_by("set the attribute", set));
        }
        (None, Need::Origin) => {
            let sentence =
                "It has entries with an origin, and no attribute impure: their inode numbers \
                            change with a mount.";
            let found = finding(Kind::MissingImpure, sentence.into());
            out.push(found.repaired_by("set the attribute", set));
        }
        (Some(_), Need::None) => {
            let sentence = "It has the attribute impure, and no entries with an origin any more.";
            let found = finding(Kind::NeedlessImpure, sentence.into());
            out.push(found.repaired_by("remove the attribute", unset));
        }
        _ => {}
    }
    Ok(())
}
