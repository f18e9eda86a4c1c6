// SPDX-License-Identifier: GPL-2.0

//! Entries of the index that are upper objects themselves.

use super::links::Links;
use super::Named;
use crate::check::finding::{Finding, Findings};
use crate::check::kind::Kind;
use crate::check::repair::{Step, Target};
use crate::layer::Decoded;
use crate::layer::Result;
use ondisk::file_handle::FileHandle;
use ondisk::Name;

/// Looks at one, and adds it to those whose links are counted.
pub(super) fn check(named: &Named<'_>, links: &mut Links, out: &mut Findings) -> Result<()> {
    let entry = named.entry;
    let remove = vec![Step::Remove(Target::of(entry))];
    let value = entry.overlay_xattr(Name::Origin)?.unwrap_or_default();
    match FileHandle::parse(&value) {
        Ok(origin) if origin == named.handle => {}
        Ok(_) => {
            let sentence =
                "Its origin is another one than its name says: a mount with index=on removes it.";
            let finding = Finding::new(Kind::IndexOtherOrigin, entry, sentence);
            out.push(finding.repaired_by("remove it", remove));
            return Ok(());
        }
        Err(_) => {
            let sentence =
                "It has no origin that can be read: a mount with index=on is refused (ENODATA).";
            let finding = Finding::new(Kind::IndexNoOrigin, entry, sentence);
            let handle = named.handle.as_bytes().to_vec();
            let steps = vec![Step::Set(Target::of(entry), Name::Origin, handle)];
            out.push(finding.repaired_by("set the origin that its name says", steps));
            return Ok(());
        }
    }
    let sentence = match named.origin {
        Decoded::Object(_, kind) if kind != entry.kind() => {
            "Its origin is of another type: a lookup of that fails (EIO)."
        }
        Decoded::Gone if entry.stat().nlink == 1 => {
            "It has no other name, and its origin is gone: nothing shows it."
        }
        Decoded::Gone => return Ok(()),
        _ => {
            links.add(entry, named.origin);
            return Ok(());
        }
    };
    let finding = Finding::new(Kind::IndexStale, entry, sentence);
    out.push(finding.repaired_by("remove it", remove));
    Ok(())
}
