// SPDX-License-Identifier: GPL-2.0

//! An inode for a dentry that has one, or may have one, or that others can look up.

use kernel::prelude::*;
use vfs::{
    dentry::{
        Child,
        Dentry,
        Negative,
        Positive, //
    },
    file::TmpFile,
    inode::{
        Inode,
        NewInode, //
    },
    FileSystem,
    Ref, //
};

fn twice<F: FileSystem>(
    dentry: Negative<'_, F>,
    inode: NewInode<'_, F>,
    other: &Inode<F>,
) -> Result {
    dentry.instantiate(inode)?;
    dentry.make_persistent(Ref::from(other)).map(drop)
    //~^ ERROR use of moved value: `dentry`
}

fn borrowed<F: FileSystem>(dentry: &Negative<'_, F>, inode: NewInode<'_, F>) -> Result {
    dentry.instantiate(inode).map(drop)
    //~^ ERROR cannot move out of `*dentry` which is behind a shared reference
}

fn any<F: FileSystem>(dentry: &Dentry<F>, inode: NewInode<'_, F>) -> Result {
    dentry.instantiate(inode).map(drop)
    //~^ ERROR no method named `instantiate` found
}

fn target_of_rename<F: FileSystem>(new: Child<'_, F>, inode: NewInode<'_, F>) -> Result {
    new.instantiate(inode).map(drop)
    //~^ ERROR no method named `instantiate` found
}

fn removed<F: FileSystem>(dentry: &Positive<'_, F>, inode: NewInode<'_, F>) -> Result {
    dentry.make_persistent(inode).map(drop)
    //~^ ERROR no method named `make_persistent` found
}

fn of_tmpfile<F: FileSystem>(file: &TmpFile<'_, F>, inode: NewInode<'_, F>) -> Result {
    file.dentry().instantiate(inode).map(drop)
    //~^ ERROR no method named `instantiate` found
}
