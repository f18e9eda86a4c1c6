// SPDX-License-Identifier: GPL-2.0

//! What is shown of the objects that have entries. The whole tree is gone through once.

use super::links::Links;
use super::lookups::Lookups;
use super::Index;
use crate::check::finding::Findings;
use crate::layer::Result;
use crate::stack::Visit;

/// Entries, to be compared with what is shown.
#[derive(Default)]
pub(super) struct Shown {
    /// Those of files.
    pub(super) links: Links,
    /// Those that a lookup would trip over.
    pub(super) lookups: Lookups,
}

impl Shown {
    /// Compares.
    pub(super) fn check(mut self, index: &Index<'_>, out: &mut Findings) -> Result<()> {
        if self.links.is_empty() && self.lookups.is_empty() {
            return Ok(());
        }
        let mut complete = true;
        let mut walk = index.stack.walk()?;
        loop {
            match walk.step() {
                Ok(None) => break,
                Ok(Some(Visit::Leave(_))) => {}
                Ok(Some(Visit::Enter(node))) => {
                    self.links.count(&node);
                    let result = self.lookups.compare(index, &node, out);
                    out.take(result);
                }
                // It is told where the layer itself is looked at.
                Err(_) => complete = false,
            }
        }
        // Without all names there is nothing to compare their number with.
        if complete {
            self.links.check(out)?;
        }
        Ok(())
    }
}
