// SPDX-License-Identifier: GPL-2.0

//! The proof that a lock is held, after it is not any more, and two of one lock.

use kernel::prelude::*;
use vfs::{
    inode::{
        Inode,
        InodeLock,
        Locked,
        LockedByInode, //
    },
    FileSystem, //
};

fn after_unlock<F: FileSystem, T>(inode: &Inode<F>, data: &LockedByInode<F, T>) {
    let mut lock = inode.lock_rwsem();
    let mut proof = lock.proof();
    drop(lock);
    //~^ ERROR cannot move out of `lock` because it is borrowed
    let _ = data.get(&mut proof);
}

fn two_proofs<F: FileSystem, T>(mut lock: InodeLock<'_, F>, data: &LockedByInode<F, T>) {
    let mut one = lock.proof();
    let mut other = lock.proof();
    //~^ ERROR cannot borrow `lock` as mutable more than once at a time
    let _ = (data.get(&mut one), data.get(&mut other));
}

fn two_borrows<F: FileSystem, T>(mut lock: Locked<'_, F>, data: &LockedByInode<F, T>) -> Result {
    let one = data.get(&mut lock)?;
    let other = data.get(&mut lock)?;
    //~^ ERROR cannot borrow `lock` as mutable more than once at a time
    core::mem::swap(one, other);
    Ok(())
}

fn data_after_unlock<'a, F: FileSystem, T>(
    inode: &'a Inode<F>,
    data: &'a LockedByInode<F, T>,
) -> Result<&'a mut T> {
    let mut lock = inode.lock_rwsem();
    data.get(&mut lock.proof())
    //~^ ERROR cannot return value referencing
}

fn shared<F: FileSystem, T>(lock: &Locked<'_, F>, data: &LockedByInode<F, T>) {
    let _ = data.get(lock);
    //~^ ERROR types differ in mutability
}

fn swapped<'a, F: FileSystem>(one: &mut InodeLock<'a, F>, other: &mut InodeLock<'a, F>) {
    core::mem::swap(&mut **one, &mut **other);
    //~^ ERROR cannot borrow data in dereference of `InodeLock<'_, F>` as mutable
}
