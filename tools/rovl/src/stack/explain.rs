// SPDX-License-Identifier: GPL-2.0

//! Why a path shows what it shows: what each layer has there, and what hides it.

use super::{Node, Seen, Stack, What};
use crate::layer::{Kind, Place, Result};
use ondisk::marker::Opaque;

/// Why a path shows what it shows.
#[derive(Debug)]
pub struct Explanation {
    /// What is shown, if something is.
    pub node: Option<Node>,
    /// How far the path led: all of it, or up to the first name that shows nothing or is no directory.
    pub reached: Place,
    /// What the lookup of the last name came by, the topmost layer first.
    pub seen: Vec<Seen>,
    /// What layers have under this path that does not show.
    pub hidden: Vec<Hidden>,
}

/// Something that does not show.
#[derive(Debug)]
pub struct Hidden {
    /// The number of its layer.
    pub layer: usize,
    /// Its type.
    pub kind: Kind,
    /// What keeps it from being seen: the next thing above it on the way that hides what is below.
    pub by: Option<Seen>,
}

impl What {
    /// Whether nothing under the same path in the layers below is shown.
    pub fn hides(&self) -> bool {
        match self {
            Self::Dir { opaque, redirect } => *opaque == Opaque::Yes || redirect.is_some(),
            Self::Whiteout(_) | Self::Object { .. } | Self::Other(_) => true,
        }
    }
}

impl Stack {
    /// Looks `place` up, and tells what was seen on the way.
    pub fn explain(&self, place: &Place) -> Result<Explanation> {
        let mut node = self.root()?;
        let mut seen = node
            .parts()
            .iter()
            .map(|part| Seen {
                layer: part.layer,
                place: Place::ROOT,
                what: What::Dir {
                    opaque: Opaque::No,
                    redirect: None,
                },
            })
            .collect();
        let mut blockers: Vec<Seen> = Vec::new();
        let mut reached = Place::ROOT;
        for name in place.components() {
            if node.kind() != Kind::Dir {
                return self.explained(Some(node), (reached, place), seen, &blockers);
            }
            let found = self.lookup_seeing(&node, name)?;
            reached = reached.child(name);
            blockers.extend(found.seen.iter().filter(|seen| seen.what.hides()).cloned());
            seen = found.seen;
            match found.node {
                Some(next) => node = next,
                None => return self.explained(None, (reached, place), seen, &blockers),
            }
        }
        let end = (reached, place);
        self.explained(Some(node), end, seen, &blockers)
    }

    fn explained(
        &self,
        node: Option<Node>,
        (reached, wanted): (Place, &Place),
        seen: Vec<Seen>,
        blockers: &[Seen],
    ) -> Result<Explanation> {
        let mut hidden = Vec::new();
        for (layer, opened) in self.layers().iter().enumerate() {
            let known = |seen: &Seen| seen.layer == layer && seen.place == *wanted;
            if seen.iter().any(known) {
                continue;
            }
            // Redirects of other directories of the stack may lead through anything.
            let Some(entry) = opened.at(wanted)? else {
                continue;
            };
            if entry.whiteout().is_none() {
                let above = blockers.iter().filter(|seen| seen.layer < layer);
                hidden.push(Hidden {
                    layer,
                    kind: entry.kind(),
                    by: above.max_by_key(|seen| seen.layer).cloned(),
                });
            }
        }
        let node = node.filter(|_| reached == *wanted);
        Ok(Explanation {
            node,
            reached,
            seen,
            hidden,
        })
    }
}
