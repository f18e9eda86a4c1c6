// SPDX-License-Identifier: GPL-2.0

//! What only the root of the upper layer has.

use super::finding::{Finding, Findings};
use super::kind::Kind;
use super::repair::{Step, Target};
use crate::layer::{Decoded, Handles};
use crate::layer::{Entry, Result};
use crate::show::name;
use ondisk::file_handle::FileHandle;
use ondisk::{uuid, Name};

/// The identity of the overlay.
pub fn check_uuid(root: &Entry, out: &mut Findings) -> Result<()> {
    let Some(value) = root.overlay_xattr(Name::Uuid)? else {
        return Ok(());
    };
    if uuid::parse(&value).is_none() {
        let sentence = format!(
            "The identity has {} bytes, not {}: the overlay is mounted without one.",
            value.len(),
            uuid::LEN
        );
        let steps = vec![Step::Unset(Target::of(root), Name::Uuid)];
        let finding = Finding::new(Kind::DamagedUuid, root, sentence);
        out.push(finding.repaired_by("remove it: a mount makes a new one", steps));
    }
    Ok(())
}

/// The topmost lower layer that the upper one is bound to, if there is an index.
pub fn check_origin(
    root: &Entry,
    lower_root: &Entry,
    lower: &Handles,
    out: &mut Findings,
) -> Result<()> {
    let Some(value) = root
        .overlay_xattr(Name::Origin)?
        .filter(|value| !value.is_empty())
    else {
        return Ok(());
    };
    let decoded = FileHandle::parse(&value).map(|handle| lower.decode(handle));
    if matches!(decoded, Ok(Decoded::Unknown))
        || matches!(decoded, Ok(Decoded::Object(id, _)) if id == lower_root.id())
    {
        return Ok(());
    }
    let sentence = format!(
        "Its origin is not the topmost lower layer {}: with index=on a mount is refused (ESTALE).",
        name(lower_root.layer().path())
    );
    let finding = Finding::new(Kind::RootOrigin, root, sentence);
    out.push(match lower.encode(lower_root, false) {
        Some(handle) => {
            let steps = vec![Step::Set(Target::of(root), Name::Origin, handle)];
            finding.repaired_by("bind it to this lower layer", steps)
        }
        None => finding,
    });
    Ok(())
}
