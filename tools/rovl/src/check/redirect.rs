// SPDX-License-Identifier: GPL-2.0

//! Redirects of directories: those that lead nowhere, and directories that are shown twice.

use super::finding::Findings;
use super::kind::Kind;
use super::repair::{Step, Target};
use super::subject::Subject;
use crate::layer::{Entry, Id, Kind as Type, Place, Result};
use crate::show::name;
use crate::stack::Node;
use ondisk::marker::Opaque;
use ondisk::redirect::Redirect;
use ondisk::{Fault, Name};
use std::collections::{HashMap, HashSet};

/// Lower directories that redirects lead to, each with the directory whose redirect that is. Layers are
/// looked at from the lowest upwards, so that what was there first counts.
#[derive(Debug, Default)]
pub struct Claims {
    by: HashMap<Id, Claim>,
    /// Those that more than one redirect leads to.
    contested: HashSet<Id>,
    /// Those that show under their own name, too, with the number of the finding.
    uncovered: Vec<(Id, usize)>,
}

#[derive(Debug)]
struct Claim {
    by: Id,
    path: Vec<u8>,
}

impl Claims {
    /// After all redirects: as long as it is not clear which one counts, the name of a directory is not
    /// covered, which would cut off the others.
    pub fn settle(&self, out: &mut Findings) {
        for (id, number) in &self.uncovered {
            if let Some(finding) = out.list.get_mut(*number) {
                finding.contested = self.contested.contains(id);
            }
        }
    }
}

/// Looks at a directory.
pub fn check(subject: &Subject<'_>, claims: &mut Claims, out: &mut Findings) -> Result<()> {
    let entry = subject.entry;
    let Some(value) = entry.overlay_xattr(Name::Redirect)? else {
        return Ok(());
    };
    // Nothing looks at it then.
    if entry.opaque() == Opaque::Yes {
        return Ok(());
    }
    let shown = name(&value);
    let redirect = match parse(&value) {
        Ok(redirect) => redirect,
        Err(fault) => {
            let sentence = format!(
                "The redirect \"{shown}\" cannot be followed, and so the directory cannot be looked up: {fault}."
            );
            drop_it(subject, Kind::InvalidRedirect, sentence, out);
            return Ok(());
        }
    };
    // What else is wrong with it is told elsewhere.
    let Ok(Some(node)) = subject.node else {
        return Ok(());
    };
    let Some(target) = node.parts().get(1) else {
        let sentence =
            format!("The redirect \"{shown}\" leads to no directory in the layers below.");
        drop_it(subject, Kind::RedirectNowhere, sentence, out);
        return Ok(());
    };
    let place = match redirect {
        Redirect::Absolute(path) => Place::of(path),
        Redirect::Relative(name) => subject.dir.place().child(name),
    };
    match shown_elsewhere(subject, node, &target.entry, &place, claims) {
        Elsewhere::At(path) => {
            let sentence = format!(
                "The redirect \"{shown}\" leads to a directory that {} shows, too.",
                name(&path)
            );
            drop_it(subject, Kind::DuplicateRedirect, sentence, out);
            claims.contested.insert(target.entry.id());
            return Ok(());
        }
        Elsewhere::Uncovered(place) => {
            claims.uncovered.push((target.entry.id(), out.list.len()));
            missing(subject, &shown.to_string(), &place, out);
        }
        Elsewhere::No => {}
    }
    let claim = Claim {
        by: entry.id(),
        path: entry.shown(),
    };
    claims.by.insert(target.entry.id(), claim);
    Ok(())
}

/// Reads a redirect, or says why it cannot be followed.
fn parse(value: &[u8]) -> std::result::Result<Redirect<'_>, &'static str> {
    // A lookup refuses such names (EACCES).
    let is_bad = |name: &[u8]| matches!(name, b"" | b"." | b"..");
    match Redirect::parse(value) {
        Err(fault) => Err(fault.message()),
        Ok(redirect) if redirect.components().any(is_bad) => Err("a name in it is empty, . or .."),
        Ok(redirect) => Ok(redirect),
    }
}

/// Where else the lower directory of a redirect is shown.
enum Elsewhere {
    No,
    /// By another directory of this layer or of one below.
    At(Vec<u8>),
    /// Where it is, which this layer should hide.
    Uncovered(Place),
}

fn shown_elsewhere(
    subject: &Subject<'_>,
    node: &Node,
    target: &Entry,
    place: &Place,
    claims: &Claims,
) -> Elsewhere {
    if let Some(claim) = claims.by.get(&target.id()) {
        // The other may be what this one was renamed from.
        if !node.parts().iter().any(|part| part.entry.id() == claim.by) {
            return Elsewhere::At(claim.path.clone());
        }
    }
    for place in [place, target.place()] {
        let Some(other) = subject.at(place).filter(|_| place != subject.entry.place()) else {
            continue;
        };
        if !other
            .parts()
            .iter()
            .any(|part| part.entry.id() == target.id())
        {
            continue;
        }
        return match other.parts().first().map(|top| top.layer) {
            Some(0) => Elsewhere::At(other.entry().shown()),
            _ => Elsewhere::Uncovered(place.clone()),
        };
    }
    Elsewhere::No
}

/// Removes a redirect, so that what is shown stays as it is otherwise: what has the name below and did
/// not show is not to show then.
fn drop_it(subject: &Subject<'_>, kind: Kind, sentence: String, out: &mut Findings) {
    let mut steps = vec![subject.unset(Name::Redirect)];
    let mut text = "remove the redirect";
    let below = subject.same_name_below();
    if below.is_ok_and(|below| below.is_some_and(|node| node.kind() == Type::Dir)) {
        steps.push(subject.set(Name::Opaque, Opaque::YES));
        text = "remove the redirect, and make the directory opaque, as one of its name is below";
    }
    subject.repair(out, (kind, sentence), text, steps);
}

/// The directory was renamed, but its old name was not covered.
fn missing(subject: &Subject<'_>, shown: &str, place: &Place, out: &mut Findings) {
    let path = subject.entry.layer().shown(place);
    let sentence = format!(
        "The redirect \"{shown}\" leads to a directory that shows under its own name, too: there is no {} to \
         hide it.",
        name(&path)
    );
    let parent = place.parent().map(|dir| subject.entry.layer().at(dir));
    let parent = parent.and_then(|parent| parent.ok().flatten());
    match parent
        .filter(|dir| dir.kind() == Type::Dir)
        .zip(place.name())
    {
        Some((dir, name)) => {
            let steps = vec![Step::Whiteout(Target::of(&dir), name.to_vec())];
            let text = "make a whiteout there";
            subject.repair(out, (Kind::MissingWhiteout, sentence), text, steps);
        }
        None => {
            let sentence = format!(
                "{sentence} Its directory is missing in this layer: make it, and check again."
            );
            subject.report(out, Kind::MissingWhiteout, sentence);
        }
    }
}
