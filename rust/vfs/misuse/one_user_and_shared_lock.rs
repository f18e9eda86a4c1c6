// SPDX-License-Identifier: GPL-2.0

//! A lock for reading taken for one for writing, or for longer than it is held; and data of an open
//! directory, after its use has ended.

use kernel::prelude::*;
use vfs::{
    file::OneUser,
    inode::{
        Inode,
        LockedShared, //
    },
    FileSystem, //
};

fn after_unlock<F: FileSystem>(inode: &Inode<F>) {
    let lock = inode.lock_rwsem();
    let shared = lock.as_shared();
    drop(lock);
    //~^ ERROR cannot move out of `lock` because it is borrowed
    let _ = shared.inode();
}

fn not_for_writing<F: FileSystem>(lock: &LockedShared<'_, F>) {
    lock.touch();
    //~^ ERROR no method named `touch`
}

fn taken_apart(one: OneUser<u32>) -> Result<u32> {
    let user = one.get()?;
    let data = one.into_inner();
    //~^ ERROR cannot move out of `one` because it is borrowed
    drop(user);
    Ok(data)
}

fn after_its_end(one: &OneUser<u32>) -> Result<&u32> {
    let user = one.get()?;
    Ok(&*user)
    //~^ ERROR cannot return value referencing
}
