// SPDX-License-Identifier: GPL-2.0

//! A super block that is changed after it has been filled.

use kernel::prelude::*;
use vfs::{
    dentry::Dentry,
    inode::NewInode,
    super_block::{
        Filled,
        NewSuperBlock,
        SuperBlock, //
    },
    FileSystem, //
};

fn changed_later<'a, F: FileSystem>(
    mut sb: NewSuperBlock<'a, F>,
    data: F::Super,
    root: impl FnOnce(&SuperBlock<F>) -> Result<NewInode<'_, F>>,
) -> Result<Filled<'a, F>> {
    let filled = sb.finish(data, root, |_: &Dentry<F>| ())?;
    sb.set_rdonly();
    //~^ ERROR borrow of moved value: `sb`
    Ok(filled)
}
