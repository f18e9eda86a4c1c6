// SPDX-License-Identifier: GPL-2.0

//! An inode of RCU walk, which may be at its end, kept or referenced.

use vfs::{
    inode::{
        Inode,
        RcuInode, //
    },
    FileSystem, //
};

fn kept<F: FileSystem>(inode: RcuInode<'_, F>) -> RcuInode<'static, F> {
    inode
    //~^ ERROR lifetime may not live long enough
}

fn super_kept<F: FileSystem>(inode: &RcuInode<'_, F>) -> &'static F::Super {
    inode.super_data()
    //~^ ERROR lifetime may not live long enough
}
