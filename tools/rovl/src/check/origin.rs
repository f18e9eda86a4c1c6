// SPDX-License-Identifier: GPL-2.0

//! Origins of what was copied up.

use super::finding::Findings;
use super::kind::Kind;
use super::subject::Subject;
use crate::layer::Result;
use crate::layer::{Decoded, Handles};
use crate::show::name;
use ondisk::file_handle::{FileHandle, HandleError};
use ondisk::{Fault, Name};

/// Whether the origin of an object of the upper layer is there: its inode number is that of another one
/// then. `lower` are the file systems of the lower layers.
pub fn is_known(subject: &Subject<'_>, lower: &Handles) -> Result<bool> {
    let value = subject
        .entry
        .overlay_xattr(Name::Origin)?
        .unwrap_or_default();
    let handle = FileHandle::parse(&value)
        .ok()
        .filter(|handle| !handle.is_upper());
    Ok(match handle.map(|handle| lower.decode(handle)) {
        Some(Decoded::Object(_, kind)) => kind == subject.entry.kind(),
        Some(Decoded::Unknown) => true,
        Some(Decoded::Gone) | None => false,
    })
}

/// Looks at an object of the upper layer that is not its root.
pub fn check(subject: &Subject<'_>, lower: &Handles, out: &mut Findings) -> Result<()> {
    let Some(value) = subject.entry.overlay_xattr(Name::Origin)? else {
        return Ok(());
    };
    // It was copied up from where there are no handles.
    if value.is_empty() {
        return Ok(());
    }
    let text = "remove the attribute origin";
    let steps = vec![subject.unset(Name::Origin)];
    let handle = match FileHandle::parse(&value) {
        Ok(handle) if !handle.is_upper() => handle,
        Ok(_) => {
            let sentence = "Its origin claims to be in the upper layer.".to_owned();
            subject.repair(out, (Kind::DamagedOrigin, sentence), text, steps);
            return Ok(());
        }
        Err(fault) => {
            let sentence = format!("Its origin counts as unknown: {}.", fault.message());
            match fault {
                HandleError::Unknown => subject.report(out, Kind::ForeignOrigin, sentence),
                _ => subject.repair(out, (Kind::DamagedOrigin, sentence), text, steps),
            }
            return Ok(());
        }
    };
    match lower.decode(handle) {
        Decoded::Unknown => {}
        Decoded::Gone => {
            let sentence =
                "Its origin is in none of the lower layers, which were copied or replaced: the \
                            inode number that it had is lost.";
            subject.repair(out, (Kind::OriginNotFound, sentence.into()), text, steps);
        }
        Decoded::Object(_, kind) if kind != subject.entry.kind() => {
            let (is, other) = (subject.entry.kind().text(), kind.text());
            let sentence = format!("Its origin is a {other}, and it is a {is}.");
            subject.repair(out, (Kind::OriginType, sentence), text, steps);
        }
        Decoded::Object(id, _) => other(subject, id, lower, out),
    }
    Ok(())
}

/// A directory has that of the lower one that it merges with.
fn other(subject: &Subject<'_>, id: crate::layer::Id, lower: &Handles, out: &mut Findings) {
    let Ok(Some(node)) = subject.node else { return };
    if !node.is_merged() {
        return;
    }
    let Some(part) = node.parts().get(1).filter(|part| part.entry.id() != id) else {
        return;
    };
    let sentence = format!(
        "It merges with {}, and its origin is another directory: with nfs_export=on the two are not merged.",
        name(&part.entry.shown())
    );
    match lower.encode(&part.entry, false) {
        Some(handle) => {
            let steps = vec![subject.set(Name::Origin, &handle)];
            let text = "set the origin to the directory that it merges with";
            subject.repair(out, (Kind::OtherOrigin, sentence), text, steps);
        }
        None => subject.report(out, Kind::OtherOrigin, sentence),
    }
}
