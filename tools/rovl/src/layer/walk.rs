// SPDX-License-Identifier: GPL-2.0

//! Going through all of a layer, without recursion and with few descriptors.

use super::{Closed, Entry, Kind, Listed, Result};
use std::sync::Arc;

/// How many directories are kept open on the way down. Others are opened again on the way up.
const KEPT_OPEN: usize = 64;

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
    levels: Vec<Level>,
    /// The directory that is gone into next, or the object that is the whole tree.
    next: Option<Arc<Entry>>,
    /// The directory that was left last: from there the way up is short.
    left: Option<Arc<Entry>>,
    started: bool,
}

/// A directory on the way down.
#[derive(Debug)]
struct Level {
    dir: Handle,
    names: std::vec::IntoIter<Listed>,
}

#[derive(Debug)]
enum Handle {
    Open(Arc<Entry>),
    Closed(Closed),
}

impl Walk {
    /// Starts at `top`, which is what comes first.
    pub fn new(top: Entry) -> Self {
        Self {
            levels: Vec::new(),
            next: Some(Arc::new(top)),
            left: None,
            started: false,
        }
    }

    /// Leaves out what is in the directory that was seen last.
    pub fn skip(&mut self) {
        self.next = None;
    }

    /// How far below the top the object is that was seen last.
    pub fn depth(&self) -> usize {
        self.levels.len()
    }

    /// The next object, or nothing at the end.
    pub fn step(&mut self) -> Result<Option<Visit>> {
        if !self.started {
            self.started = true;
            return Ok(self.next.clone().map(Visit::Enter));
        }
        if let Some(dir) = self.next.take().filter(|dir| dir.kind() == Kind::Dir) {
            self.go_into(dir)?;
        }
        while let Some(dir) = self.open_last()? {
            let next = self.levels.last_mut().and_then(|level| level.names.next());
            let Some(listed) = next else {
                self.levels.pop();
                self.left = Some(Arc::clone(&dir));
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

    fn go_into(&mut self, dir: Arc<Entry>) -> Result<()> {
        let names = dir.list()?.into_iter();
        let far = self.levels.len().checked_sub(KEPT_OPEN);
        if let Some(level) = far.and_then(|far| self.levels.get_mut(far)) {
            if let Handle::Open(entry) = &level.dir {
                level.dir = Handle::Closed(entry.closed());
            }
        }
        self.levels.push(Level {
            dir: Handle::Open(dir),
            names,
        });
        Ok(())
    }

    /// The directory that the walk is in. If it cannot be found again, what is left in it is not seen.
    fn open_last(&mut self) -> Result<Option<Arc<Entry>>> {
        let Some(level) = self.levels.last_mut() else {
            return Ok(None);
        };
        let entry = match &level.dir {
            Handle::Open(entry) => Ok(Arc::clone(entry)),
            Handle::Closed(closed) => closed.open(self.left.as_deref()).map(Arc::new),
        };
        match entry {
            Ok(entry) => {
                level.dir = Handle::Open(Arc::clone(&entry));
                Ok(Some(entry))
            }
            Err(error) => {
                self.levels.pop();
                Err(error)
            }
        }
    }
}
