// SPDX-License-Identifier: GPL-2.0

//! Going through all of a layer, without recursion and with few descriptors.

use super::{Entry, Kind, Levels, Listed, Result};
use std::sync::Arc;

/// What the walk has come to.
#[derive(Clone, Debug)]
pub enum Visit {
    /// An object, seen for the first time. What is in a directory comes next, unless it is skipped.
    Enter(Arc<Entry>),
    /// A directory, after all that is in it.
    Leave(Arc<Entry>),
}

/// A walk through a directory and all below, in the order of the bytes of the names.
///
/// After an error it goes on with what comes next. What vanishes meanwhile is left out.
#[derive(Debug)]
pub struct Walk {
    levels: Levels<Entry, std::vec::IntoIter<Listed>>,
    /// The directory that is gone into next, or the object that is the whole tree.
    next: Option<Arc<Entry>>,
    started: bool,
}

impl Walk {
    /// Starts at `top`, which is what comes first.
    pub fn new(top: Entry) -> Self {
        Self {
            levels: Levels::default(),
            next: Some(Arc::new(top)),
            started: false,
        }
    }

    /// Leaves out what is in the directory that was seen last.
    pub fn skip(&mut self) {
        self.next = None;
    }

    /// How far below the top the object is that was seen last.
    pub fn depth(&self) -> usize {
        self.levels.depth()
    }

    /// The next object, or nothing at the end.
    pub fn step(&mut self) -> Result<Option<Visit>> {
        if !self.started {
            self.started = true;
            return Ok(self.next.clone().map(Visit::Enter));
        }
        if let Some(dir) = self.next.take().filter(|dir| dir.kind() == Kind::Dir) {
            let names = dir.list()?.into_iter();
            self.levels.push(dir, names);
        }
        while let Some((dir, names)) = self.levels.last()? {
            let Some(listed) = names.next() else {
                self.levels.pop(&dir);
                return Ok(Some(Visit::Leave(dir)));
            };
            if let Some(entry) = dir.child(&listed.name)? {
                let entry = Arc::new(entry);
                self.next = Some(Arc::clone(&entry));
                return Ok(Some(Visit::Enter(entry)));
            }
        }
        Ok(None)
    }
}
