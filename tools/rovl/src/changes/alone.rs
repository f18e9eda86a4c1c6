// SPDX-License-Identifier: GPL-2.0

//! What an upper layer says itself of what it changes.

use super::{Aspects, Change, Differences, Summary, What};
use crate::layer::{Entry, Kind, Layer, Place, Result, Visit};
use ondisk::marker::Opaque;
use ondisk::Name;
use std::collections::{HashMap, HashSet};

/// What the upper layer `layer` changes in layers that are not at hand.
///
/// Whiteouts are what was removed, redirects what was renamed; what has an origin was copied up, so
/// that something of it was changed. All else counts as added. A file that had several names in its
/// lower layer gets no origin when it is copied up, and counts as added, too.
pub fn of_layer(layer: &Layer) -> Result<Differences> {
    let mut found = Differences::default();
    let mut walk = layer.walk()?;
    // Where the directories on the way down were before.
    let mut before: Vec<Place> = Vec::new();
    // Where things were that were renamed, and the whiteouts with what they are for.
    let (mut left, mut removed) = (HashSet::new(), HashMap::new());
    loop {
        match walk.step() {
            Ok(None) => break,
            Ok(Some(Visit::Leave(_))) => {
                before.pop();
            }
            Ok(Some(Visit::Enter(entry))) => {
                let parent = before.last().cloned().unwrap_or_default();
                let (change, old) = look_at(&entry, &parent).unwrap_or_else(|error| {
                    found.errors.push(error);
                    (None, entry.place().clone())
                });
                match change.as_ref().map(|change| &change.what) {
                    Some(What::Renamed(from, _)) => {
                        left.insert(from.to_bytes());
                    }
                    Some(What::Removed) => {
                        removed.insert(found.changes.len(), old.to_bytes());
                    }
                    _ => {}
                }
                found.changes.extend(change);
                if entry.kind() == Kind::Dir {
                    before.push(old);
                }
            }
            Err(error) => found.errors.push(error),
        }
    }
    let mut number = 0usize;
    found.changes.retain(|_| {
        let whiteout = removed.get(&number);
        number = number.saturating_add(1);
        whiteout.is_none_or(|place| !left.contains(place))
    });
    Ok(found)
}

/// What an object of the layer says, and where it was before if it is a directory.
fn look_at(entry: &Entry, parent: &Place) -> Result<(Option<Change>, Place)> {
    let place = entry.place();
    let Some(name) = place.name() else {
        return Ok((None, Place::ROOT));
    };
    let old = parent.child(name);
    let change = |what, after: bool| Change {
        place: place.clone(),
        what,
        before: None,
        after: after.then(|| Summary::of_entry(entry, place)),
    };
    if entry.whiteout().is_some() {
        return Ok((Some(change(What::Removed, false)), old));
    }
    let metacopy = entry.is_metacopy()?;
    let unknown = Aspects {
        unknown: true,
        ..Aspects::default()
    };
    if entry.kind() == Kind::Dir || metacopy {
        if let Some(redirect) = entry.redirect()? {
            let from = match redirect.strip_prefix(b"/") {
                Some(path) => Place::of(path),
                None => parent.child(&redirect),
            };
            // A link of a file without data has a redirect, too, and keeps its old name.
            if from != old {
                let what = What::Renamed(from.clone(), unknown);
                return Ok((Some(change(what, true)), from));
            }
        }
    }
    let copied = metacopy || entry.overlay_xattr(Name::Origin)?.is_some();
    let what = if copied && entry.opaque() != Opaque::Yes {
        What::Changed(unknown)
    } else {
        What::Added
    };
    Ok((Some(change(what, true)), old))
}
