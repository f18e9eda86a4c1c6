// SPDX-License-Identifier: GPL-2.0

//! The mark of a directory that one mount uses for itself, taken back by who has not made it.

use stacking::in_use::InUse;
use vfs::{
    inode::Inode,
    path::Path,
    Foreign, //
};

fn unmark(inode: &Inode<Foreign>) {
    inode.inuse_unlock();
    //~^ ERROR no method named `inuse_unlock` found
}

fn unmarked(dir: Path) -> InUse {
    InUse(dir)
    //~^ ERROR cannot initialize a tuple struct which contains private fields
}
