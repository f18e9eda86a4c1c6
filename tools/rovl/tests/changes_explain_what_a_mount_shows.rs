// SPDX-License-Identifier: GPL-2.0

//! The changes of random upper layers, beside mounts with and without them: what was there before and
//! the changes give all that is there now.

mod common;

use common::tree::{self, Object, Tree};
use common::{another, mount, open, random, seeds, Layers};
use rovl::changes::{compare, of_layer, Change, Options, What};
use rovl::stack::Stack;
use std::collections::{BTreeMap, BTreeSet};

type Path = Vec<u8>;

fn parent(path: &[u8]) -> Option<&[u8]> {
    if path.is_empty() {
        return None;
    }
    Some(
        path.iter()
            .rposition(|&byte| byte == b'/')
            .map_or(b"".as_slice(), |at| &path[..at]),
    )
}

fn join(dir: &[u8], name: &[u8]) -> Path {
    if dir.is_empty() {
        name.to_vec()
    } else {
        [dir, b"/", name].concat()
    }
}

fn name(path: &[u8]) -> &[u8] {
    path.rsplit(|&byte| byte == b'/').next().unwrap()
}

/// What a change is about, without times.
fn plain(object: &Object) -> Object {
    Object {
        mtime: (0, 0),
        same_as: None,
        ..object.clone()
    }
}

struct Checked<'a> {
    before: &'a Tree,
    after: &'a Tree,
    changes: BTreeMap<Path, &'a Change>,
    removed: BTreeSet<Path>,
    moved: BTreeSet<Path>,
    seed: u64,
}

impl<'a> Checked<'a> {
    fn new((before, after): (&'a Tree, &'a Tree), changes: &'a [Change], seed: u64) -> Self {
        let mut checked = Self {
            before,
            after,
            changes: BTreeMap::new(),
            removed: BTreeSet::new(),
            moved: BTreeSet::new(),
            seed,
        };
        for change in changes {
            let path = change.place.to_bytes();
            if change.what == What::Removed {
                checked.removed.insert(path);
                continue;
            }
            if let What::Renamed(from, _) = &change.what {
                checked.moved.insert(from.to_bytes());
            }
            let twice = checked.changes.insert(path, change);
            assert!(twice.is_none(), "seed {seed}: {change:?}");
        }
        checked
    }
}

impl Checked<'_> {
    /// Where what is at `path` now was before, if it was there.
    fn source(&self, path: &[u8]) -> Option<Path> {
        match self.changes.get(path).map(|change| &change.what) {
            Some(What::Added) => return None,
            Some(What::Renamed(from, _)) => return Some(from.to_bytes()),
            _ => {}
        }
        match parent(path) {
            None => Some(Vec::new()),
            Some(dir) => Some(join(&self.source(dir)?, name(path))),
        }
    }

    fn check(&self) {
        for (path, now) in self.after {
            let (seed, shown) = (self.seed, String::from_utf8_lossy(path));
            let source = self.source(path);
            let old = source.as_ref().and_then(|source| self.before.get(source));
            match self.changes.get(path).map(|change| &change.what) {
                Some(What::Added) => {}
                Some(What::Changed(aspects)) => {
                    assert!(
                        aspects.any() && plain(old.unwrap()) != plain(now),
                        "seed {seed}: {shown}"
                    );
                }
                Some(What::Renamed(_, aspects)) if aspects.any() => {
                    assert!(plain(old.unwrap()) != plain(now), "seed {seed}: {shown}");
                }
                _ => assert_eq!(old.map(plain), Some(plain(now)), "seed {seed}: {shown}"),
            }
            if let Some(source) = source.filter(|_| now.mode & 0o170_000 == 0o040_000) {
                self.check_children(path, &source);
            }
        }
    }

    /// What was in a directory and is not there any more was removed or renamed.
    fn check_children(&self, path: &[u8], source: &[u8]) {
        let below = self.before.keys().filter(|old| parent(old) == Some(source));
        for old in below {
            let new = join(path, name(old));
            assert!(
                self.after.contains_key(&new)
                    || self.removed.contains(&new)
                    || self.moved.contains(old),
                "seed {}: {:?} went without a word",
                self.seed,
                String::from_utf8_lossy(&new)
            );
        }
    }
}

fn lower_only(layers: &Layers) -> (mount::Mount, Stack) {
    // A mount without an upper layer takes at least two layers.
    let stack = Stack::new(
        None,
        layers.lower.iter().map(|path| open(path)).collect(),
        Vec::new(),
    );
    (
        mount::overlay(&layers.lower, None, &["metacopy=on"]),
        stack.unwrap(),
    )
}

#[test]
fn of_random_upper_layers() {
    if !mount::possible() {
        return;
    }
    let mut renames = 0;
    for seed in seeds(40).start.. {
        if !another(seed, 40, renames > 0) {
            break;
        }
        let mut random = random::Random::new(seed);
        let options: &[&str] = match seed % 2 {
            0 => &["redirect_dir=on", "metacopy=on", "index=off"],
            _ => &["redirect_dir=on", "metacopy=off", "index=off"],
        };
        let layers = random::layers(&mut random, 2, options);
        let (old_mount, old_stack) = lower_only(&layers);
        let new_mount = layers.mount(&["redirect_dir=on", "metacopy=on", "index=off"]);
        let (before, after) = (tree::read(&old_mount.path()), tree::read(&new_mount.path()));
        let found = compare(&old_stack, &layers.stack(), Options::default()).unwrap();
        assert!(found.errors.is_empty(), "seed {seed}: {:?}", found.errors);
        let checked = Checked::new((&before, &after), &found.changes, seed);
        renames += checked.moved.len();
        checked.check();
        // What the layer says alone is more, and never less.
        let alone = of_layer(&open(&layers.upper)).unwrap();
        assert!(alone.errors.is_empty());
        let said: BTreeSet<_> = alone
            .changes
            .iter()
            .map(|change| change.place.to_bytes())
            .collect();
        for change in found
            .changes
            .iter()
            .filter(|change| change.what != What::Removed)
        {
            let path = change.place.to_bytes();
            let below = |path: &[u8]| parent(path).is_some_and(|dir| said.contains(dir));
            assert!(
                path.is_empty() || said.contains(&path) || below(&path),
                "seed {seed}: {path:?}"
            );
        }
    }
    assert!(renames > 0, "no rename was seen");
}
