// SPDX-License-Identifier: GPL-2.0

//! An inode of RCU walk where one that is in use belongs.

use kernel::sync::aref::AlwaysRefCounted;
use vfs::{
    inode::{
        Inode,
        RcuInode, //
    },
    FileSystem, //
};

fn data<F: FileSystem>(inode: RcuInode<'_, F>) {
    inode.data();
    //~^ ERROR no method named `data` found
}

fn counted<T: AlwaysRefCounted>(_: &T) {}

fn referenced<F: FileSystem>(inode: RcuInode<'_, F>) {
    counted(&inode);
    //~^ ERROR the trait bound `RcuInode<'_, F>: AlwaysRefCounted` is not satisfied
}

fn in_use<'a, F: FileSystem>(inode: &'a RcuInode<'_, F>) -> &'a Inode<F> {
    inode
    //~^ ERROR expected `&Inode<F>`, found `&RcuInode<'_, F>`
}
