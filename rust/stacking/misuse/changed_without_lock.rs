// SPDX-License-Identifier: GPL-2.0

//! Changes of an inode without its lock, or with that of another kind.

use kernel::prelude::*;
use stacking::namei::Removing;
use vfs::{
    dentry::Dentry,
    iattr::Setattr,
    inode::{
        Inode,
        InodeMutex, //
    },
    mount::Idmap,
    FileSystem,
    Foreign, //
};

fn more_links<F: FileSystem>(dir: &Inode<F>) {
    dir.inc_nlink();
    //~^ ERROR no method named `inc_nlink` found
}

fn fewer_links<F: FileSystem>(lock: &InodeMutex<'_, F>) {
    lock.inode().drop_nlink();
    //~^ ERROR no method named `drop_nlink` found
}

fn links<F: FileSystem>(dentry: &Dentry<F>) {
    let Some(inode) = dentry.inode() else { return };
    inode.set_nlink(1);
    //~^ ERROR no method named `set_nlink` found
    inode.clear_nlink();
    //~^ ERROR no method named `clear_nlink` found
}

fn times<F: FileSystem>(dir: &Inode<F>) {
    dir.touch();
    //~^ ERROR no method named `touch` found
}

fn attributes<F: FileSystem>(
    idmap: Idmap<'_>,
    dentry: &Dentry<F>,
    mut change: Setattr<'_>,
) -> Result {
    change.prepare(idmap, dentry)?;
    //~^ ERROR expected `&LockedDentry<'_, _>`, found `&Dentry<F>`
    change.apply(idmap, dentry)
    //~^ ERROR expected `&LockedDentry<'_, _>`, found `&Dentry<F>`
}

fn name_below(dentry: &Dentry<Foreign>) -> Result {
    dentry.drop_from_hash();
    //~^ ERROR `drop_from_hash`
    Removing(dentry).unlink()
    //~^ ERROR cannot initialize a tuple struct which contains private fields
}
