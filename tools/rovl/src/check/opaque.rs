// SPDX-License-Identifier: GPL-2.0

//! Marks of opaque directories.

use super::finding::Findings;
use super::kind::Kind;
use super::subject::Subject;
use crate::layer::Result;
use crate::show::name;
use ondisk::marker::Opaque;
use ondisk::Name;

/// Looks at a directory.
pub fn check(subject: &Subject<'_>, out: &mut Findings) -> Result<()> {
    let Some(value) = subject.entry.overlay_xattr(Name::Opaque)? else {
        return Ok(());
    };
    if Opaque::parse(&value) == Opaque::No {
        let sentence = format!(
            "The attribute opaque is \"{}\", which is neither \"y\" nor \"x\": it counts as absent.",
            name(&value)
        );
        let steps = vec![subject.unset(Name::Opaque)];
        subject.repair(
            out,
            (Kind::InvalidOpaque, sentence),
            "remove the attribute",
            steps,
        );
    }
    Ok(())
}
