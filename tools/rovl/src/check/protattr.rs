// SPDX-License-Identifier: GPL-2.0

//! Protecting attributes.

use super::finding::Findings;
use super::kind::Kind;
use super::subject::Subject;
use crate::layer::Result;
use crate::show::name;
use ondisk::protattr::Protattr;
use ondisk::{Fault, Name};

/// Looks at a file or directory of the upper layer.
pub fn check(subject: &Subject<'_>, out: &mut Findings) -> Result<()> {
    let Some(value) = subject.entry.overlay_xattr(Name::Protattr)? else {
        return Ok(());
    };
    if let Err(fault) = Protattr::parse(&value) {
        let sentence = format!(
            "The attribute protattr is \"{}\", and none of it counts: {}.",
            name(&value),
            fault.message()
        );
        let steps = vec![subject.unset(Name::Protattr)];
        subject.repair(
            out,
            (Kind::DamagedProtattr, sentence),
            "remove the attribute",
            steps,
        );
    }
    Ok(())
}
