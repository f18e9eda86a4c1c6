// SPDX-License-Identifier: GPL-2.0

//! Going through the tree that a stack shows, without recursion and with few descriptors.

use super::{ClosedNode, Node, Stack};
use crate::layer::{Kind, Result};
use std::sync::Arc;

/// How many descriptors are kept for the way down, besides those of the last directories.
const KEPT_OPEN: usize = 256;

/// What the walk has come to.
#[derive(Clone, Debug)]
pub enum Visit {
    /// Something, seen for the first time. What is in a directory comes next, unless it is skipped.
    Enter(Arc<Node>),
    /// A directory, after all that is in it.
    Leave(Arc<Node>),
}

/// A walk through a directory and all below, in the order of the bytes of the names.
///
/// After an error it goes on with what comes next.
#[derive(Debug)]
pub struct Walk<'a> {
    stack: &'a Stack,
    levels: Vec<Level>,
    /// The directory that is gone into next, or the object that is the whole tree.
    next: Option<Arc<Node>>,
    /// The directory that was left last: from there the way up is short.
    left: Option<Arc<Node>>,
    started: bool,
    /// The descriptors of all levels that are open.
    open: usize,
}

/// A directory on the way down.
#[derive(Debug)]
struct Level {
    dir: Handle,
    names: std::vec::IntoIter<Box<[u8]>>,
}

#[derive(Debug)]
enum Handle {
    Open(Arc<Node>),
    Closed(ClosedNode),
}

impl<'a> Walk<'a> {
    /// Starts at `top`, which is what comes first.
    pub fn new(stack: &'a Stack, top: Node) -> Self {
        Self {
            stack,
            levels: Vec::new(),
            next: Some(Arc::new(top)),
            left: None,
            started: false,
            open: 0,
        }
    }

    /// Leaves out what is in the directory that was seen last.
    pub fn skip(&mut self) {
        self.next = None;
    }

    /// What comes next, or nothing at the end.
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
            let Some(name) = next else {
                self.levels.pop();
                self.open = self.open.saturating_sub(dir.weight());
                self.left = Some(Arc::clone(&dir));
                return Ok(Some(Visit::Leave(dir)));
            };
            if let Some(node) = self.stack.lookup(&dir, &name)? {
                let node = Arc::new(node);
                self.next = Some(Arc::clone(&node));
                return Ok(Some(Visit::Enter(node)));
            }
        }
        Ok(None)
    }

    fn go_into(&mut self, dir: Arc<Node>) -> Result<()> {
        let names = self.stack.names(&dir)?.into_iter();
        self.close_far(dir.weight());
        self.open = self.open.saturating_add(dir.weight());
        self.levels.push(Level {
            dir: Handle::Open(dir),
            names,
        });
        Ok(())
    }

    /// Closes the directories that are farthest from here until `wanted` more descriptors are left.
    fn close_far(&mut self, wanted: usize) {
        // Those that are open lie together at the end.
        let open = self.levels.iter().rev();
        let open = open.take_while(|level| matches!(level.dir, Handle::Open(_)));
        let first = self.levels.len().saturating_sub(open.count());
        for level in self.levels.iter_mut().skip(first) {
            if self.open.saturating_add(wanted) <= KEPT_OPEN {
                break;
            }
            if let Handle::Open(node) = &level.dir {
                self.open = self.open.saturating_sub(node.weight());
                level.dir = Handle::Closed(node.closed());
            }
        }
    }

    /// The directory that the walk is in. If it cannot be found again, what is left in it is not seen.
    fn open_last(&mut self) -> Result<Option<Arc<Node>>> {
        let Some(level) = self.levels.last_mut() else {
            return Ok(None);
        };
        let closed = match &level.dir {
            Handle::Open(node) => return Ok(Some(Arc::clone(node))),
            Handle::Closed(closed) => closed,
        };
        match closed.open(self.left.as_deref()) {
            Ok(node) => {
                let node = Arc::new(node);
                self.open = self.open.saturating_add(node.weight());
                level.dir = Handle::Open(Arc::clone(&node));
                Ok(Some(node))
            }
            Err(error) => {
                self.levels.pop();
                Err(error)
            }
        }
    }
}
