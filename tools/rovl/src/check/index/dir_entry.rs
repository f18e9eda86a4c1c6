// SPDX-License-Identifier: GPL-2.0

//! Entries of the index that stand for directories.

use super::lookups::Lookups;
use super::{Index, Named};
use crate::check::finding::{Finding, Findings};
use crate::check::kind::Kind;
use crate::check::repair::{Step, Target};
use crate::layer::Decoded;
use crate::layer::{Kind as Type, Result};
use ondisk::file_handle::FileHandle;
use ondisk::Name;

/// Looks at one.
pub(super) fn check(
    index: &Index<'_>,
    named: &Named<'_>,
    lookups: &mut Lookups,
    out: &mut Findings,
) -> Result<()> {
    let entry = named.entry;
    let value = entry.overlay_xattr(Name::Upper)?.unwrap_or_default();
    let remove = vec![Step::Remove(Target::of(entry))];
    let handle = match FileHandle::parse(&value) {
        Ok(handle) if handle.is_upper() => handle,
        _ => {
            let sentence = "It does not say which upper directory it is for.";
            let finding = Finding::new(Kind::IndexDirStale, entry, sentence);
            out.push(finding.repaired_by("remove it", remove));
            return Ok(());
        }
    };
    if matches!(named.origin, Decoded::Object(_, kind) if kind != Type::Dir) {
        let sentence = "Its origin is no directory: a lookup of that fails (EIO).";
        let finding = Finding::new(Kind::IndexDirStale, entry, sentence);
        out.push(finding.repaired_by("remove it", remove));
        return Ok(());
    }
    match index.upper.decode(handle) {
        Decoded::Unknown => {}
        Decoded::Object(upper, Type::Dir) => {
            let name = Name::Origin.full(entry.layer().namespace());
            let origin = index.upper.xattr(handle, name).unwrap_or_default();
            let (kind, sentence) = match FileHandle::parse(&origin) {
                Ok(origin) if origin == named.handle => {
                    if let Decoded::Object(lower, _) = named.origin {
                        lookups.add_dir(lower, entry, upper);
                    }
                    return Ok(());
                }
                Ok(_) => (
                    Kind::IndexOtherOrigin,
                    "Its upper directory has another origin than its name says: a mount with nfs_export=on \
                     removes it.",
                ),
                Err(_) => (
                    Kind::IndexNoOrigin,
                    "Its upper directory has no origin that can be read: a mount with nfs_export=on is refused \
                     (ENODATA).",
                ),
            };
            out.push(Finding::new(kind, entry, sentence).repaired_by("remove it", remove));
        }
        Decoded::Object(..) => {
            let sentence =
                "What it is for is no directory: a mount with index=on is refused (EIO).";
            let finding = Finding::new(Kind::IndexDirType, entry, sentence);
            out.push(finding.repaired_by("remove it", remove));
        }
        Decoded::Gone => {
            let sentence = "The upper directory that it is for was removed.";
            let finding = Finding::new(Kind::IndexDirOrphan, entry, sentence);
            let entry_name = entry.place().name().unwrap_or_default().to_vec();
            let mut steps = remove;
            steps.push(Step::Whiteout(Target::of(&index.dir), entry_name));
            out.push(finding.repaired_by("put a whiteout in its place", steps));
        }
    }
    Ok(())
}
