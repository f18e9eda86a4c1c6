// SPDX-License-Identifier: GPL-2.0
//! A directory with many names: so many that a module may keep what it has learned of them.

use fastrand::Rng;

use super::model::{child, Kind, Object, Tree};
use crate::script::{Place, Step};

/// The names there can be, those that no layer has among them.
const NAMES: u32 = 320;

/// One in so many of the names in a layer is known to who chooses steps.
const KNOWN: usize = 12;

/// A name, that probably is there or not.
pub fn name(rng: &mut Rng) -> String {
    format!("n{}", rng.u32(0..NAMES))
}

/// Puts many names into the directory `dir` of a lower layer that has it.
pub fn fill(rng: &mut Rng, place: Place, dir: &str, tree: &mut Tree, steps: &mut Vec<Step>) {
    if !tree.is_dir(dir) && dir != "/" {
        return;
    }
    let first = rng.u32(0..200);
    let count = rng.u32(10..120);
    steps.push(Step::new(place, &format!("crowd {dir} {first} {count}")));
    for number in (first..first + count).step_by(KNOWN) {
        let (kind, mode) = match number % 16 {
            0 => (Kind::Dir, 0o777),
            _ => (Kind::File, 0o666),
        };
        tree.add(
            &child(dir, &format!("n{number}")),
            Object::new(kind, mode, 0),
        );
    }
    // What hides some of those in the layers below.
    for _ in 0..rng.usize(0..6) {
        let path = child(dir, &name(rng));
        if !tree.objects.contains_key(&path) {
            tree.whiteouts.insert(path.clone());
            steps.push(Step::new(place, &format!("mknod {path} char 0 0:0")));
        }
    }
}
