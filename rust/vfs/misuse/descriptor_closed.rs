// SPDX-License-Identifier: GPL-2.0

//! The path of a descriptor of the caller's, after the end of the reference on its file.

use kernel::prelude::*;
use vfs::{
    dentry::Dentry,
    file::Descriptor,
    path::PathRef,
    super_block::SuperBlock,
    FileSystem, //
};

fn path_kept<F: FileSystem>(fd: i32, sb: &SuperBlock<F>) -> Result<PathRef<'_, F>> {
    Ok(Descriptor::of(fd, sb)?.path())
    //~^ ERROR cannot return value referencing temporary value
}

fn dentry_kept<F: FileSystem>(descriptor: Descriptor<F>) -> usize {
    let dentry: &Dentry<F> = descriptor.path().dentry();
    drop(descriptor);
    //~^ ERROR cannot move out of `descriptor` because it is borrowed
    usize::from(dentry.is_negative())
}
