// SPDX-License-Identifier: GPL-2.0

//! A new inode that is changed after others can see it, or gets a second name as a new one.

use kernel::prelude::*;
use vfs::{
    dentry::Negative,
    inode::NewInode,
    FileSystem, //
};

fn changed_later<F: FileSystem>(inode: NewInode<'_, F>) {
    let mut inode = inode;
    let _shared = inode.publish();
    inode.set_size(1);
    //~^ ERROR borrow of moved value: `inode`
}

fn two_names<F: FileSystem>(
    a: Negative<'_, F>,
    b: Negative<'_, F>,
    inode: NewInode<'_, F>,
) -> Result {
    a.instantiate(inode)?;
    b.instantiate(inode).map(drop)
    //~^ ERROR use of moved value: `inode`
}
