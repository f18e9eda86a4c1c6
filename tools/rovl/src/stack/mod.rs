// SPDX-License-Identifier: GPL-2.0

//! A stack of layers, and the tree that a mount of it shows: which objects a path leads to, what a
//! directory lists, and where the data of a file is.
//!
//! Lookups do what the kernel module does, in its order, so that they find the same, and fail for the
//! same reasons.

mod data;
mod explain;
mod index;
mod lookup;
mod node;
mod walk;

pub use data::Misfit;
pub use explain::{Explanation, Hidden};
pub use lookup::{Found, Seen, What};
pub use node::{ClosedNode, Identity, Node, Part};
pub use walk::{Visit, Walk};

use crate::layer::{Entry, Error, Id, Kind, Layer, Place, Result};
use rustix::io::Errno;

/// Layers that are mounted together.
#[derive(Debug)]
pub struct Stack {
    /// Those that are merged, the topmost first.
    merged: Vec<Layer>,
    /// Whether the topmost one is an upper layer.
    has_upper: bool,
    /// Those that have data for files of the others.
    data: Vec<Layer>,
    /// What the roots of all layers are: nothing below may be one of them.
    roots: Vec<Id>,
    /// Whether redirects and files without data are followed.
    follow: bool,
    /// Whether the layers fold the case of names.
    folds: bool,
    /// The index, if it is looked at.
    index: Option<index::Index>,
}

impl Stack {
    /// Makes a stack of the layer `upper`, the layers `lower`, the topmost first, and of the data-only
    /// layers `data`.
    ///
    /// Redirects and files without data are followed, as a mount does with `redirect_dir=follow` and
    /// `metacopy=on`. An index is only looked at after [`Self::with_index`]: without, of a file with several
    /// names, those that are in lower layers only show what these have, as with `index=off`.
    pub fn new(upper: Option<Layer>, lower: Vec<Layer>, data: Vec<Layer>) -> Result<Self> {
        let has_upper = upper.is_some();
        let merged: Vec<_> = upper.into_iter().chain(lower).collect();
        let folds = folds(&merged)?;
        let mut roots = Vec::new();
        for layer in merged.iter().chain(&data) {
            let id = layer.root()?.id();
            if roots.contains(&id) {
                let path = layer.shown(&Place::ROOT);
                return Err(Error::system(
                    &path,
                    "use it twice in one stack",
                    Errno::LOOP,
                ));
            }
            roots.push(id);
        }
        Ok(Self {
            merged,
            has_upper,
            data,
            roots,
            follow: true,
            folds,
            index: None,
        })
    }

    /// The same stack, mounted with `redirect_dir=nofollow` and `metacopy=off`: what would have to be
    /// followed is `EPERM`.
    #[must_use]
    pub fn without_following(mut self) -> Self {
        self.follow = false;
        self
    }

    /// Whether the layers fold the case of names: a name is found under others then, and shown as the topmost
    /// layer has it.
    pub fn folds(&self) -> bool {
        self.folds
    }

    /// The merged layers, the topmost first.
    pub fn layers(&self) -> &[Layer] {
        &self.merged
    }

    /// Whether the topmost layer is an upper one.
    pub fn has_upper(&self) -> bool {
        self.has_upper
    }

    /// The data-only layers.
    pub fn data_layers(&self) -> &[Layer] {
        &self.data
    }

    /// The layer with a number: the merged ones come first.
    pub fn layer(&self, number: usize) -> Option<&Layer> {
        self.merged.iter().chain(&self.data).nth(number)
    }

    /// The root, in which all layers are merged whatever their attributes say.
    pub fn root(&self) -> Result<Node> {
        let mut parts = Vec::with_capacity(self.merged.len());
        for (layer, root) in self.merged.iter().enumerate() {
            let entry = root.root()?;
            parts.push(Part { layer, entry });
        }
        Ok(Node::new(Place::ROOT, parts, None))
    }

    /// What `name` shows in the directory `dir`.
    pub fn lookup(&self, dir: &Node, name: &[u8]) -> Result<Option<Node>> {
        self.lookup_seeing(dir, name).map(|found| found.node)
    }

    /// What `place` shows.
    pub fn at(&self, place: &Place) -> Result<Option<Node>> {
        let mut node = self.root()?;
        for name in place.components() {
            if node.kind() != Kind::Dir {
                return Ok(None);
            }
            match self.lookup(&node, name)? {
                Some(next) => node = next,
                None => return Ok(None),
            }
        }
        Ok(Some(node))
    }

    /// The names in the layers of a directory, sorted by their bytes, those of whiteouts with them: a
    /// lookup tells what they show.
    pub fn names(&self, dir: &Node) -> Result<Vec<Box<[u8]>>> {
        let mut names: Vec<Box<[u8]>> = Vec::new();
        let mut above = Vec::new();
        for part in dir.parts() {
            let first = names.len();
            part.entry.each_name(|name, _| {
                names.push(name.into());
                true
            })?;
            if self.folds {
                let mut new = names.split_off(first);
                retain_new(&mut new, &above)?;
                names.append(&mut new);
                above.push(&part.entry);
            }
        }
        names.sort_unstable();
        names.dedup();
        Ok(names)
    }

    /// Leaves those of `names` that are none of a directory, also not in another case.
    pub fn retain_other_names(&self, dir: &Node, names: &mut Vec<Box<[u8]>>) -> Result<()> {
        if self.folds {
            let parts: Vec<_> = dir.parts().iter().map(|part| &part.entry).collect();
            retain_new(names, &parts)?;
        }
        Ok(())
    }

    /// Whether a directory shows nothing.
    pub fn is_empty(&self, dir: &Node) -> Result<bool> {
        for name in self.names(dir)? {
            if self.lookup(dir, &name)?.is_some() {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Goes through the whole tree, the root first.
    pub fn walk(&self) -> Result<Walk<'_>> {
        Ok(Walk::new(self, self.root()?))
    }

    fn check_no_root(&self, entry: &Entry) -> Result<()> {
        if self.roots.contains(&entry.id()) {
            return Err(entry.error("go into it: it is a layer of the same stack", Errno::LOOP));
        }
        Ok(())
    }
}

/// Leaves those of `names` that none of the directories has. Which names are one is for their file system to say.
fn retain_new(names: &mut Vec<Box<[u8]>>, dirs: &[&Entry]) -> Result<()> {
    let mut kept = Vec::with_capacity(names.len());
    'names: for name in names.drain(..) {
        for dir in dirs {
            if dir.child(&name)?.is_some() {
                continue 'names;
            }
        }
        kept.push(name);
    }
    *names = kept;
    Ok(())
}

/// Whether layers fold the case of names: all of them or none, as for a mount.
fn folds(layers: &[Layer]) -> Result<bool> {
    let mut all = None;
    for layer in layers {
        let root = layer.root()?;
        let folds = root.folds_case();
        if *all.get_or_insert(folds) != folds {
            let what = "use it in one stack with the others: some fold the case of names, and others do not";
            return Err(root.error(what, Errno::INVAL));
        }
    }
    Ok(all.unwrap_or_default())
}

#[cfg(test)]
mod tests;
