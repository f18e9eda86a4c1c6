// SPDX-License-Identifier: GPL-2.0

//! Directories in which nothing shows.

use crate::{
    listing::{
        entries::Mark,
        names::Names, //
    },
    readdir::merged::{
        self,
        Purpose, //
    },
    Rovl, //
};
use kernel::prelude::*;
use stacking::cred::AsMounter;
use vfs::dentry::Dentry;

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
