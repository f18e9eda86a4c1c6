// SPDX-License-Identifier: GPL-2.0
//! What renames of merged directories left in a lower layer when it was an upper one: directories with
//! the place of their content, and something at the old name.

use fastrand::Rng;

use super::layer::{make_dir, Manner};
use super::model::{child, parent, Kind, Tree};
use super::value;
use crate::script::{Place, Step};

/// Objects that show after which nothing is renamed any more: a directory that shows at two names in each
/// of many layers would make the tree too large.
const LARGE: usize = 150;

/// A layer, and what it has so far.
pub struct Layer<'a> {
    /// The layer.
    pub place: Place,
    /// Its objects.
    pub tree: &'a mut Tree,
    /// The steps that fill it.
    pub steps: &'a mut Vec<Step>,
}

impl Layer<'_> {
    fn add(&mut self, text: &str) {
        self.steps.push(Step::new(self.place, text));
    }

    /// Makes the directories that lead to `path`. False if there is something else.
    fn make_parents(&mut self, rng: &mut Rng, path: &str) -> bool {
        let mut dirs = path.match_indices('/').map(|(at, _)| &path[..at]);
        dirs.all(|dir| self.is_made(rng, dir))
    }

    fn is_made(&mut self, rng: &mut Rng, dir: &str) -> bool {
        if !self.is_free(dir) {
            return self.tree.is_dir(dir);
        }
        make_dir(self.tree, self.place, dir, value::dir_mode(rng), self.steps);
        true
    }

    fn is_free(&self, path: &str) -> bool {
        !self.tree.objects.contains_key(path) && !self.tree.whiteouts.contains(path)
    }
}

/// Leaves in a layer what renames of directories would that show of those `below` it.
pub fn leave(rng: &mut Rng, layer: &mut Layer<'_>, manner: Manner, below: &[(usize, Tree)]) {
    let below: Vec<&(usize, Tree)> = below
        .iter()
        .filter(|(number, _)| *number < manner.merged)
        .collect();
    let merged = Tree::merged(below.iter().map(|(_, tree)| tree.clone()));
    let times = if merged.objects.len() > LARGE {
        0
    } else {
        rng.usize(1..4)
    };
    for _ in 0..times {
        let Some((from, to)) = names(rng, &merged, below.last().copied()) else {
            continue;
        };
        if layer.is_free(&to) && layer.make_parents(rng, &to) {
            rename(rng, layer, manner, &from, &to);
            if rng.bool() {
                origin(layer, manner, below.last().copied(), &from, &to);
            }
            leave_old_name(rng, layer, manner, &from);
        }
    }
}

/// A directory that shows, often one that was renamed in the layer below too, and a new name for it.
fn names(rng: &mut Rng, merged: &Tree, next: Option<&(usize, Tree)>) -> Option<(String, String)> {
    let dirs = |of: &Tree| -> Vec<String> {
        let dirs = of.objects.iter();
        let dirs = dirs.filter(|(_, object)| object.kind == Kind::Dir);
        dirs.map(|(path, _)| path.clone()).collect()
    };
    let all = dirs(merged);
    let again: Vec<String> = next.map_or_else(Vec::new, |(_, tree)| {
        tree.redirects.keys().cloned().collect()
    });
    let list = if again.is_empty() || rng.u8(0..4) == 0 {
        &all
    } else {
        &again
    };
    let from = list.get(rng.usize(..list.len().max(1)))?.clone();
    let dir = match rng.u8(0..4) {
        0 => "/",
        1 => all.get(rng.usize(..all.len().max(1)))?,
        _ => parent(&from),
    };
    let to = child(dir, value::name(rng));
    let inside = format!("{to}/").starts_with(&format!("{from}/"));
    (!inside).then_some((from, to))
}

fn rename(rng: &mut Rng, layer: &mut Layer<'_>, manner: Manner, from: &str, to: &str) {
    make_dir(
        layer.tree,
        layer.place,
        to,
        value::dir_mode(rng),
        layer.steps,
    );
    let name = from.rsplit('/').next().unwrap_or(from);
    let relative = parent(from) == parent(to) && rng.u8(0..4) > 0;
    let value = match rng.u8(0..20) {
        0 => value::name(rng).to_owned(),
        1 => format!(
            "/{}",
            child(parent(to), value::name(rng)).trim_start_matches('/')
        ),
        _ if relative => name.to_owned(),
        _ => format!("/{from}"),
    };
    let prefix = manner.prefix();
    layer.add(&format!(
        "setxattr {to} {prefix}.overlay.redirect {value} -"
    ));
    if rng.bool() {
        layer.add(&format!(
            "setxattr {} {prefix}.overlay.impure y -",
            parent(to)
        ));
    }
    layer.tree.redirects.insert(to.to_owned(), from.to_owned());
}

/// The directory remembers which one it was a copy of.
fn origin(
    layer: &mut Layer<'_>,
    manner: Manner,
    next: Option<&(usize, Tree)>,
    from: &str,
    to: &str,
) {
    if let Some((number, _)) = next.filter(|(_, tree)| tree.is_dir(from)) {
        let prefix = manner.prefix();
        layer.add(&format!("origin {to} ../lower{number}/{from} {prefix} -1"));
    }
}

/// At the old name there is a whiteout, a new directory that is opaque, or, as nothing but a later
/// change of the layer leaves it, one that is not, or nothing.
fn leave_old_name(rng: &mut Rng, layer: &mut Layer<'_>, manner: Manner, from: &str) {
    if !layer.make_parents(rng, from) || !layer.is_free(from) {
        return;
    }
    match rng.u8(0..10) {
        0..=5 => {
            layer.add(&format!("mknod {from} char 0 0:0"));
            layer.tree.whiteouts.insert(from.to_owned());
        }
        6..=8 => {
            let mode = value::dir_mode(rng);
            make_dir(layer.tree, layer.place, from, mode, layer.steps);
            if rng.u8(0..4) > 0 {
                let prefix = manner.prefix();
                layer.add(&format!("setxattr {from} {prefix}.overlay.opaque y -"));
                layer.tree.opaque.insert(from.to_owned());
            }
        }
        _ => (),
    }
}
