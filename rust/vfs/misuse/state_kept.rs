// SPDX-License-Identifier: GPL-2.0

//! What holds of a dentry for the time of an operation, after the operation.

use vfs::{
    dentry::{
        Child,
        Dentry,
        LockedDentry,
        Positive, //
    },
    file::TmpFile,
    inode::{
        Inode,
        Locked, //
    },
    FileSystem, //
};

fn child<'a, F: FileSystem>(dentry: Child<'_, F>) -> Child<'a, F> {
    dentry
    //~^ ERROR explicit lifetime required in the type of `dentry`
}

fn removed<F: FileSystem>(dentry: &Positive<'_, F>) -> &'static Dentry<F> {
    dentry.dentry()
    //~^ ERROR lifetime may not live long enough
}

fn changed<F: FileSystem>(dentry: &LockedDentry<'_, F>) -> &'static Locked<'static, F> {
    dentry.inode()
    //~^ ERROR lifetime may not live long enough
}

fn locked<F: FileSystem>(dir: &Locked<'_, F>) -> &'static Inode<F> {
    dir.inode()
    //~^ ERROR lifetime may not live long enough
}

fn renamed_tmpfile<F: FileSystem>(file: TmpFile<'_, F>) -> usize {
    let dentry = file.dentry();
    drop(file);
    //~^ ERROR cannot move out of `file` because it is borrowed
    usize::from(dentry.is_negative())
}
