// SPDX-License-Identifier: GPL-2.0

//! What can be done to a locked name once, done twice.

use kernel::{
    prelude::*,
    str::CStr, //
};
use stacking::namei::{
    Creating,
    Removing,
    Renaming, //
};

fn made_twice(name: Creating<'_>, target: &CStr) -> Result {
    let _made = name.create(0)?;
    name.symlink(target).map(drop)
    //~^ ERROR use of moved value: `name`
}

fn kept_and_made(name: Creating<'_>) -> Result {
    let _dentry = name.keep();
    name.mkdir(0).map(drop)
    //~^ ERROR use of moved value: `name`
}

fn removed_twice(name: Removing<'_>) -> Result {
    name.unlink()?;
    name.rmdir()
    //~^ ERROR use of moved value: `name`
}

fn renamed_twice(names: Renaming<'_>) -> Result {
    names.rename()?;
    names.rename()
    //~^ ERROR use of moved value: `names`
}
