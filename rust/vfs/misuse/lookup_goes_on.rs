// SPDX-License-Identifier: GPL-2.0

//! A lookup that goes on after its end, when the name may change, and the end of another one.

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

fn name_later<'a, F: FileSystem>(
    dentry: InLookup<'a, F>,
    inode: Ref<'_, Inode<F>>,
) -> Result<Spliced<'a, F>> {
    let name = dentry.name();
    let spliced = dentry.splice(Some(inode));
    //~^ ERROR cannot move out of `dentry` because it is borrowed
    let _ = name.len();
    spliced
}

fn ended_twice<'a, F: FileSystem>(dentry: InLookup<'a, F>) -> Result<Spliced<'a, F>> {
    let _first = dentry.splice(None)?;
    dentry.splice(None)
    //~^ ERROR use of moved value: `dentry`
}

fn of_another<'a, 'b, F: FileSystem>(
    _dentry: InLookup<'a, F>,
    other: Spliced<'b, F>,
) -> Result<Spliced<'a, F>> {
    Ok(other)
    //~^ ERROR lifetime may not live long enough
}
