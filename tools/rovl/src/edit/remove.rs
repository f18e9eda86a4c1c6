// SPDX-License-Identifier: GPL-2.0

//! Removing trees of any depth.

use super::attributes::open_up;
use super::steps::Steps;
use crate::layer::{Entry, Kind, Levels, Result};
use rustix::fs::{unlinkat, AtFlags};
use rustix::io::Errno;
use std::sync::Arc;

/// Removes all that is in `top`, and keeps that. Whatever is gone already is fine.
pub(super) fn empty(top: Entry, steps: &Steps) -> Result<()> {
    let mut levels = Levels::default();
    let names = top.list()?.into_iter();
    levels.push(Arc::new(top), names);
    while let Some((dir, names)) = levels.last()? {
        let Some(listed) = names.next() else {
            levels.pop(&dir);
            let Some((parent, _)) = levels.last()? else {
                break;
            };
            if let Some(name) = dir.place().name() {
                unlink(&parent, name, AtFlags::REMOVEDIR, steps)?;
            }
            continue;
        };
        match dir.child(&listed.name)? {
            Some(entry) if entry.kind() == Kind::Dir => {
                open_up(&entry);
                let names = entry.list()?.into_iter();
                levels.push(Arc::new(entry), names);
            }
            Some(_) => unlink(&dir, &listed.name, AtFlags::empty(), steps)?,
            None => {}
        }
    }
    Ok(())
}

/// Removes `name` in `dir` with all that is in it, if it is there.
pub(super) fn tree(dir: &Entry, name: &[u8], steps: &Steps) -> Result<()> {
    let Some(entry) = dir.child(name)? else {
        return Ok(());
    };
    if entry.kind() != Kind::Dir {
        return unlink(dir, name, AtFlags::empty(), steps);
    }
    open_up(&entry);
    empty(entry, steps)?;
    unlink(dir, name, AtFlags::REMOVEDIR, steps)
}

fn unlink(dir: &Entry, name: &[u8], flags: AtFlags, steps: &Steps) -> Result<()> {
    match unlinkat(dir, name, flags) {
        Ok(()) => steps.step(),
        Err(Errno::NOENT) => {}
        Err(errno) => return Err(dir.error("remove something in it", errno)),
    }
    Ok(())
}
