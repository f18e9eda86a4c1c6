// SPDX-License-Identifier: GPL-2.0

//! Numbers of links of files that have no entry in the index. Those that have one are looked at with it.

use super::finding::Findings;
use super::kind::Kind;
use super::subject::Subject;
use crate::layer::Result;
use crate::show::name;
use ondisk::nlink::{Base, Nlink};
use ondisk::{Fault, Name};

/// Looks at an object of the upper layer that is not a directory.
pub fn check(subject: &Subject<'_>, out: &mut Findings) -> Result<()> {
    let Some(value) = subject.entry.overlay_xattr(Name::Nlink)? else {
        return Ok(());
    };
    let steps = vec![subject.unset(Name::Nlink)];
    let text = "remove the attribute nlink";
    match Nlink::parse(&value) {
        Err(fault) => {
            let sentence = format!(
                "The attribute nlink is \"{}\": {}.",
                name(&value),
                fault.message()
            );
            subject.repair(out, (Kind::DamagedNlink, sentence), text, steps);
        }
        Ok(nlink)
            if nlink.base == Base::Upper && nlink.apply(subject.entry.stat().nlink).is_none() =>
        {
            let sentence = format!(
                "The attribute nlink is \"{}\" for a file of {} links: what is left is not positive.",
                name(&value),
                subject.entry.stat().nlink
            );
            subject.repair(out, (Kind::NlinkImpossible, sentence), text, steps);
        }
        Ok(_) => {}
    }
    Ok(())
}
