// SPDX-License-Identifier: GPL-2.0

//! Looking the name of a dentry up again, in layers that have become others.

use crate::{
    namei::lookup::{
        ask_layers,
        Lookup, //
    },
    object::{
        current::is_current,
        entry::{
            DentryExt,
            DentryFlag, //
        },
        renewed::{
            renew_dir,
            renew_file, //
        },
    },
    Rovl, //
};
use kernel::prelude::*;
use stacking::{
    cred::AsMounter,
    prelude::*, //
};
use vfs::{
    dentry::Dentry,
    inode::Inode,
    Ref, //
};

/// Takes over what `dentry` and its parents are in the layers that there are now, from the top down. Returns whether
/// the name leads to the same object as before.
pub(crate) fn renew(dentry: &Dentry<Rovl>) -> Result<bool> {
    while !is_current(dentry) {
        let topmost = topmost_of_before(dentry);
        if topmost.is_root() {
            if !topmost.sb().root().is_some_and(|root| root.is(&topmost)) {
                // It has no name.
                return Ok(false);
            }
            // The root is what it is as soon as the layers are: this waits for that.
            topmost.sb().data().generation();
            continue;
        }
        // Who changes its name meanwhile has it be current first, and goes by what was found then.
        if !renew_one(&topmost)? && !is_current(&topmost) {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Of `dentry` and its parents, the topmost one of those that were found before the layers became what they are.
fn topmost_of_before(dentry: &Dentry<Rovl>) -> Ref<'_, Dentry<Rovl>> {
    let mut topmost = Ref::from(dentry);
    loop {
        let parent = topmost.parent();
        if parent.is(&topmost) || is_current(&parent) {
            return topmost;
        }
        topmost = parent;
    }
}

/// Looks the name of `dentry` up in its parent.
///
/// Who changes names has done this before, and what is found after that is not taken over.
fn renew_one(dentry: &Dentry<Rovl>) -> Result<bool> {
    let ofs = dentry.sb().data();
    if dentry.is_unhashed() || dentry.has(DentryFlag::Gone) {
        return Ok(false);
    }
    let parent = dentry.parent();
    let Some(dir) = parent.inode() else {
        return Ok(false);
    };
    // Only such names are looked up that a change of the layers can have changed.
    if dentry.confirm() {
        return Ok(true);
    }
    let same =
        ofs.as_mounter(|m| dentry.with_name(|name| look_again(m, (&parent, dir), dentry, name)))?;
    if let Some(inode) = dentry.inode().filter(|_| same) {
        ask_layers(dentry, inode);
    }
    Ok(same)
}

/// Returns `true` also where the layers became others meanwhile.
fn look_again(
    m: &AsMounter,
    (parent, dir): (&Dentry<Rovl>, &Inode<Rovl>),
    dentry: &Dentry<Rovl>,
    name: &[u8],
) -> Result<bool> {
    let ofs = dentry.sb().data();
    let generation = ofs.generation();
    if parent.found_in() != generation {
        // It was current in the one before.
        return Ok(true);
    }
    let mut lookup = Lookup::new(m, dir.sb(), name);
    let mut noted = lookup.nothing_in(generation);
    let found = lookup.find(dir, dentry, &mut noted);
    if ofs.generation() != generation {
        return Ok(true);
    }
    found?;
    let parts = lookup.parts();
    let Some(inode) = dentry.inode() else {
        let is_nothing = parts.is_nothing();
        if is_nothing {
            // Who gives it an inode has done this before, and then it stays as he left it.
            dentry.settle(noted.flags, noted.upper, noted.generation);
        }
        return Ok(is_nothing);
    };
    match (inode.is_dir(), parts.is_dir()) {
        (true, true) if inode.nlink() != 0 => {
            renew_dir(m, inode, parts, Some((dentry, noted)))?;
            Ok(true)
        }
        (false, false) if parts.is_file_of(inode) => {
            renew_file(ofs, dentry, parts.lower_nlink(), noted);
            Ok(true)
        }
        _ => Ok(false),
    }
}
