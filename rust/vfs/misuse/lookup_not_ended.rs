// SPDX-License-Identifier: GPL-2.0

//! A lookup that is left open, that gets its inode by another way, or that goes on after its end.

use kernel::prelude::*;
use vfs::{
    inode::Inode,
    namei::{
        InLookup,
        Spliced, //
    },
    FileSystem,
    Ref, //
};

fn left_open<'a, F: FileSystem>(_dentry: InLookup<'a, F>) -> Result<Spliced<'a, F>> {
    Ok(Spliced {})
    //~^ ERROR cannot construct `Spliced<'_, _>` with struct literal syntax due to private fields
}

fn instantiated<F: FileSystem>(dentry: InLookup<'_, F>, inode: Ref<'_, Inode<F>>) -> Result {
    dentry.instantiate(inode)
    //~^ ERROR no method named `instantiate` found
}
