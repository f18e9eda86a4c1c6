// SPDX-License-Identifier: GPL-2.0

//! In which respects two objects differ.

use super::Aspects;
use crate::layer::{Kind, Result};
use crate::stack::{Node, Stack};
use rustix::io::Errno;
use std::fs::File;
use std::io::Read;

/// Whether two stacks show the very same object, with all that is in it.
pub fn is_same(a: &Node, b: &Node) -> bool {
    let parts = |node: &'_ Node| -> Vec<_> {
        let ids = node.parts().iter().map(|part| part.entry.id());
        ids.collect()
    };
    a.data_place() == b.data_place() && parts(a) == parts(b)
}

/// In which respects `after` differs from `before`.
pub fn aspects(
    (before_stack, before): (&Stack, &Node),
    (after_stack, after): (&Stack, &Node),
    times: bool,
) -> Result<Aspects> {
    let (old, new) = (before.stat(), after.stat());
    if old.kind() != new.kind() {
        return Ok(Aspects {
            kind: true,
            ..Aspects::default()
        });
    }
    let content = match new.kind() {
        Kind::File => {
            old.size != new.size || !same_data((before_stack, before), (after_stack, after))?
        }
        Kind::Symlink => before.entry().read_link()? != after.entry().read_link()?,
        Kind::CharDevice | Kind::BlockDevice => old.rdev != new.rdev,
        _ => false,
    };
    Ok(Aspects {
        kind: false,
        content,
        mode: old.permissions() != new.permissions(),
        owner: (old.uid, old.gid) != (new.uid, new.gid),
        xattrs: before.entry().user_xattrs()? != after.entry().user_xattrs()?,
        times: times && old.mtime != new.mtime,
        unknown: false,
    })
}

/// Whether two files of the same size have the same content.
fn same_data(before: (&Stack, &Node), after: (&Stack, &Node)) -> Result<bool> {
    let id = |node: &'_ Node| {
        let data = node.parts().last().map(|part| part.entry.id());
        data.filter(|_| node.data_place().is_none())
    };
    if id(before.1).is_some() && id(before.1) == id(after.1) {
        return Ok(true);
    }
    let mut old = before.0.open_data(before.1)?;
    let mut new = after.0.open_data(after.1)?;
    let fail = |node: &Node, error: std::io::Error| {
        node.entry()
            .error("read", Errno::from_io_error(&error).unwrap_or(Errno::IO))
    };
    let (mut one, mut two) = (vec![0; 1 << 16], vec![0; 1 << 16]);
    loop {
        let len = fill(&mut old, &mut one).map_err(|error| fail(before.1, error))?;
        let other = fill(&mut new, &mut two).map_err(|error| fail(after.1, error))?;
        if one.get(..len) != two.get(..other) {
            return Ok(false);
        }
        if len == 0 {
            return Ok(true);
        }
    }
}

/// Reads until the buffer is full or the file ends.
fn fill(file: &mut File, buffer: &mut [u8]) -> std::io::Result<usize> {
    let mut filled = 0;
    while let Some(rest) = buffer.get_mut(filled..).filter(|rest| !rest.is_empty()) {
        match file.read(rest) {
            Ok(0) => break,
            Ok(len) => filled = filled.saturating_add(len),
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(filled)
}
