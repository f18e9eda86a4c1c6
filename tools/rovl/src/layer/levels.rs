// SPDX-License-Identifier: GPL-2.0

//! The directories on the way down into a tree, of which only the last ones are open.

use super::{Closed, Entry, Result};
use std::sync::Arc;

/// What can be closed and opened again.
pub trait Keep: Sized {
    /// What is left of it then.
    type Closed;

    /// How many descriptors it takes.
    fn weight(&self) -> usize;

    /// What is left when it is closed.
    fn close(&self) -> Self::Closed;

    /// Opens it again. If `below` was found in it, that is a short way.
    fn open(closed: &Self::Closed, below: Option<&Self>) -> Result<Self>;
}

impl Keep for Entry {
    type Closed = Closed;

    fn weight(&self) -> usize {
        1
    }

    fn close(&self) -> Closed {
        self.closed()
    }

    fn open(closed: &Closed, below: Option<&Self>) -> Result<Self> {
        closed.open(below)
    }
}

/// How many descriptors are kept for the way down.
const KEPT_OPEN: usize = 256;

/// The directories on the way down, each with what its owner has to know of it.
#[derive(Debug)]
pub struct Levels<T: Keep, R> {
    levels: Vec<(Handle<T, T::Closed>, R)>,
    /// The directory that was left last: from there the way up is short.
    left: Option<Arc<T>>,
    /// The descriptors of all levels that are open.
    open: usize,
}

#[derive(Debug)]
enum Handle<T, C> {
    Open(Arc<T>),
    Closed(C),
}

impl<T: Keep, R> Default for Levels<T, R> {
    fn default() -> Self {
        Self {
            levels: Vec::new(),
            left: None,
            open: 0,
        }
    }
}

impl<T: Keep, R> Levels<T, R> {
    /// Goes into `dir`.
    pub fn push(&mut self, dir: Arc<T>, rest: R) {
        self.close_far(dir.weight());
        self.open = self.open.saturating_add(dir.weight());
        self.levels.push((Handle::Open(dir), rest));
    }

    /// How deep it is.
    pub fn depth(&self) -> usize {
        self.levels.len()
    }

    /// The last directory, opened again if need be. If it cannot be found any more it is left.
    pub fn last(&mut self) -> Result<Option<(Arc<T>, &mut R)>> {
        let Some((handle, _)) = self.levels.last_mut() else {
            return Ok(None);
        };
        let dir = match handle {
            Handle::Open(dir) => Arc::clone(dir),
            Handle::Closed(closed) => match T::open(closed, self.left.as_deref()) {
                Ok(dir) => {
                    let dir = Arc::new(dir);
                    self.open = self.open.saturating_add(dir.weight());
                    *handle = Handle::Open(Arc::clone(&dir));
                    dir
                }
                Err(error) => {
                    self.levels.pop();
                    return Err(error);
                }
            },
        };
        Ok(self.levels.last_mut().map(|(_, rest)| (dir, rest)))
    }

    /// Leaves the last directory, which is `dir`.
    pub fn pop(&mut self, dir: &Arc<T>) -> Option<R> {
        self.open = self.open.saturating_sub(dir.weight());
        self.left = Some(Arc::clone(dir));
        self.levels.pop().map(|(_, rest)| rest)
    }

    /// Closes the directories that are farthest from here until `wanted` more descriptors are left.
    fn close_far(&mut self, wanted: usize) {
        // Those that are open lie together at the end.
        let open = self.levels.iter().rev();
        let open = open.take_while(|(handle, _)| matches!(handle, Handle::Open(_)));
        let first = self.levels.len().saturating_sub(open.count());
        for (handle, _) in self.levels.iter_mut().skip(first) {
            if self.open.saturating_add(wanted) <= KEPT_OPEN {
                break;
            }
            if let Handle::Open(dir) = handle {
                self.open = self.open.saturating_sub(dir.weight());
                *handle = Handle::Closed(dir.close());
            }
        }
    }
}
