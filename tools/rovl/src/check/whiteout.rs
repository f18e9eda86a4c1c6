// SPDX-License-Identifier: GPL-2.0

//! Whiteouts that hide nothing, and those that are shown.

use super::finding::Findings;
use super::kind::Kind;
use super::repair::{Step, Target};
use super::subject::Subject;
use crate::layer::{Result, Whiteout};
use ondisk::marker::Opaque;
use ondisk::Name;

/// Looks at an object that is a whiteout of this form.
pub fn check(subject: &Subject<'_>, form: Whiteout, out: &mut Findings) -> Result<()> {
    // What cannot be looked up is there all the same.
    let hides = !matches!(subject.same_name_below(), Ok(None));
    if !hides {
        let sentence = match subject.below {
            Some(_) => "This whiteout hides nothing: no layer below has the name.",
            None => "This whiteout hides nothing: its directory is in no layer below.",
        };
        let steps = vec![Step::Remove(subject.target())];
        subject.repair(
            out,
            (Kind::OrphanWhiteout, sentence.into()),
            "remove it",
            steps,
        );
        return Ok(());
    }
    if form == Whiteout::Xattr {
        shown(subject, out);
    }
    Ok(())
}

/// A whiteout in the form of a file is left out of listings only in directories of lower layers that say
/// that there may be such.
fn shown(subject: &Subject<'_>, out: &mut Findings) {
    let dir = subject.dir.entry();
    if !subject.upper && dir.opaque() == Opaque::XattrWhiteouts {
        return;
    }
    let sentence = "This file is a whiteout, but listings of its directory show it: ";
    if subject.upper {
        let steps = vec![
            Step::Remove(subject.target()),
            Step::Whiteout(Target::of(dir), subject.name().to_vec()),
        ];
        let sentence = format!("{sentence}an upper layer has no such whiteouts.");
        let text = "make a whiteout of the other form instead";
        return subject.repair(out, (Kind::ShownWhiteout, sentence), text, steps);
    }
    let sentence = format!("{sentence}the directory is not marked with opaque=x.");
    let steps = vec![Step::Set(
        Target::of(dir),
        Name::Opaque,
        Opaque::XATTR_WHITEOUTS.to_vec(),
    )];
    let text = "mark the directory";
    subject.repair(out, (Kind::ShownWhiteout, sentence), text, steps);
}
