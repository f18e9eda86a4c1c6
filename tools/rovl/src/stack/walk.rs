// SPDX-License-Identifier: GPL-2.0

//! Going through the tree that a stack shows, without recursion and with few descriptors.

use super::{Node, Stack};
use crate::layer::{Kind, Levels, Result};
use std::sync::Arc;

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
    levels: Levels<Node, std::vec::IntoIter<Box<[u8]>>>,
    /// The directory that is gone into next, or the object that is the whole tree.
    next: Option<Arc<Node>>,
    started: bool,
}

impl<'a> Walk<'a> {
    /// Starts at `top`, which is what comes first.
    pub fn new(stack: &'a Stack, top: Node) -> Self {
        Self {
            stack,
            levels: Levels::default(),
            next: Some(Arc::new(top)),
            started: false,
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
            let names = self.stack.names(&dir)?.into_iter();
            self.levels.push(dir, names);
        }
        while let Some((dir, names)) = self.levels.last()? {
            let Some(name) = names.next() else {
                self.levels.pop(&dir);
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
}
