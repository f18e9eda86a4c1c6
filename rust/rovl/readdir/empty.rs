// SPDX-License-Identifier: GPL-2.0

//! Directories in which nothing shows.

use super::{
    entries::Mark,
    merged::{
        self,
        Purpose, //
    },
    names::Names, //
};
use crate::{
    cleanup,
    Rovl, //
};
use kernel::prelude::*;
use vfs::{
    cred::AsMounter,
    dentry::Dentry,
    log,
    mount::WriteGuard,
    path::LayerPath,
    Layer, //
};

/// Checks that nothing shows in a directory. Returns the names of the whiteouts in its upper layer,
/// which have to go before the upper directory can be removed.
///
/// Returns `ENOTEMPTY` where something shows. The caller keeps others from adding entries.
pub(crate) fn check_empty(m: &AsMounter, dentry: &Dentry<Rovl>) -> Result<Names> {
    let entries = merged::read(m, dentry, Purpose::FindOne)?;
    let mut whiteouts = Names::new();
    for entry in entries.iter() {
        match entries.name(entry) {
            b"." | b".." => {}
            _ if !entry.is(Mark::Hidden) => return Err(ENOTEMPTY),
            name if entry.is(Mark::Upper) => whiteouts.push(name)?,
            _ => {}
        }
    }
    Ok(whiteouts)
}

/// Removes the whiteouts that [`check_empty`] found in the upper directory `dir`.
pub(crate) fn cleanup_whiteouts(
    m: &AsMounter,
    write: &WriteGuard<'_>,
    dir: &Dentry<Layer>,
    whiteouts: &Names,
) {
    for name in whiteouts.iter() {
        let child = LayerPath::new(write.mount(), dir).and_then(|path| path.lookup(m, name));
        let removed = match child {
            Ok(child) if child.is_negative() => Ok(()),
            Ok(child) => cleanup::remove(m, write, dir, &child),
            Err(err) => Err(err),
        };
        // Removing the directory will fail, and say so.
        if let Err(err) = removed {
            log::warn_name(c"cannot remove a whiteout", dir, name, err);
        }
    }
}
