// SPDX-License-Identifier: GPL-2.0

//! Write access that is given up while something that needs it is in use.

use kernel::prelude::*;
use stacking::{
    cred::{
        AsMounter,
        Mounter, //
    },
    mount::{
        UpperMount,
        WriteGuard, //
    },
    namei::Creating, //
};
use vfs::{
    dentry::Dentry,
    Foreign, //
};

fn name_outlives_guard(mount: UpperMount<'_>, m: &AsMounter, dir: &Dentry<Foreign>) -> Result {
    let write = mount.want_write()?;
    let name = write.start_creating(m, dir, b"name")?;
    drop(write);
    //~^ ERROR cannot move out of `write` because it is borrowed
    name.create(0).map(drop)
}

fn guard_outlives_count(mount: UpperMount<'_>) -> Result<WriteGuard<'_>> {
    let access = mount.get_write_access()?;
    Ok(access.start_write())
    //~^ ERROR cannot return value referencing local variable `access`
}

fn name_outlives_credentials<'a>(
    mounter: &Mounter,
    write: &'a WriteGuard<'a>,
    dir: &Dentry<Foreign>,
) -> Result<Creating<'a>> {
    mounter.run(|m| write.start_creating(m, dir, b"name"))
    //~^ ERROR lifetime may not live long enough
}

fn mounter_dropped_in_force(mounter: Mounter) {
    mounter.run(|_| drop(mounter));
    //~^ ERROR cannot move out of `mounter` because it is borrowed
}
