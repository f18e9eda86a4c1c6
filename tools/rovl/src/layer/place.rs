// SPDX-License-Identifier: GPL-2.0

//! Where something is in a layer or in a stack.

use std::fmt;
use std::sync::Arc;

/// A path from the root, name by name. Cheap to clone, and what is below shares it: the places of a
/// tree of any depth need no more memory than its names.
#[derive(Clone, Default)]
pub struct Place(Option<Arc<Step>>);

struct Step {
    parent: Place,
    name: Box<[u8]>,
    depth: usize,
}

// The chain may be so long that dropping one after the other by recursion would overflow the stack.
impl Drop for Step {
    fn drop(&mut self) {
        let mut next = self.parent.0.take();
        while let Some(step) = next {
            next = Arc::into_inner(step).and_then(|mut step| step.parent.0.take());
        }
    }
}

impl Place {
    /// The root.
    pub const ROOT: Self = Self(None);

    /// The place of `name` in the directory that is here.
    pub fn child(&self, name: &[u8]) -> Self {
        Self(Some(Arc::new(Step {
            parent: self.clone(),
            name: name.into(),
            depth: self.depth().saturating_add(1),
        })))
    }

    /// The place that a path leads to. Empty components and `.` count for nothing.
    pub fn of(path: &[u8]) -> Self {
        path.split(|&byte| byte == b'/')
            .filter(|name| !matches!(*name, b"" | b"."))
            .fold(Self::ROOT, |place, name| place.child(name))
    }

    /// The last name, if it is not the root.
    pub fn name(&self) -> Option<&[u8]> {
        self.0.as_ref().map(|step| &*step.name)
    }

    /// The directory that it is in, if it is not the root.
    pub fn parent(&self) -> Option<&Self> {
        self.0.as_ref().map(|step| &step.parent)
    }

    /// The number of names.
    pub fn depth(&self) -> usize {
        self.0.as_ref().map_or(0, |step| step.depth)
    }

    /// Whether it is the root.
    pub fn is_root(&self) -> bool {
        self.0.is_none()
    }

    /// The names, from the root.
    pub fn components(&self) -> Vec<&[u8]> {
        let mut names = Vec::with_capacity(self.depth());
        let mut place = self;
        while let Some(step) = &place.0 {
            names.push(&*step.name);
            place = &step.parent;
        }
        names.reverse();
        names
    }

    /// The names with slashes between them. It is empty for the root.
    pub fn to_bytes(&self) -> Vec<u8> {
        self.components().join(&b'/')
    }

    /// Whether `other` is this place or below.
    pub fn contains(&self, other: &Self) -> bool {
        let mut other = other;
        while other.depth() > self.depth() {
            match other.parent() {
                Some(parent) => other = parent,
                None => return false,
            }
        }
        self == other
    }
}

impl PartialEq for Place {
    fn eq(&self, other: &Self) -> bool {
        let (mut a, mut b) = (self, other);
        if a.depth() != b.depth() {
            return false;
        }
        while let (Some(one), Some(two)) = (&a.0, &b.0) {
            if Arc::ptr_eq(one, two) {
                return true;
            }
            if one.name != two.name {
                return false;
            }
            (a, b) = (&one.parent, &two.parent);
        }
        true
    }
}

impl Eq for Place {}

impl fmt::Debug for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "\"/{}\"", self.to_bytes().escape_ascii())
    }
}

#[cfg(test)]
mod tests {
    use super::Place;

    #[test]
    fn paths() {
        let place = Place::of(b"/a//b/./c/");
        assert_eq!(place.to_bytes(), b"a/b/c");
        assert_eq!(place.name(), Some(b"c".as_slice()));
        assert_eq!(place.parent(), Some(&Place::of(b"a/b")));
        assert_eq!(place.depth(), 3);
        assert_eq!(Place::ROOT.to_bytes(), b"");
        assert_eq!(Place::ROOT.name(), None);
        assert_ne!(Place::of(b"a/c"), Place::of(b"a/b"));
        assert_ne!(Place::of(b"b/c"), Place::of(b"a/c"));
    }

    #[test]
    fn what_is_below() {
        let place = Place::of(b"a/b");
        assert!(place.contains(&place) && place.contains(&Place::of(b"a/b/c/d")));
        assert!(!place.contains(&Place::of(b"a")) && !place.contains(&Place::of(b"a/bb/c")));
        assert!(Place::ROOT.contains(&place));
    }

    #[test]
    fn very_deep_ones_are_dropped() {
        let deep = (0..300_000).fold(Place::ROOT, |place, _| place.child(b"d"));
        assert_eq!(deep.depth(), 300_000);
        drop(deep);
    }
}
