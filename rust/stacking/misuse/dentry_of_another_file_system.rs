// SPDX-License-Identifier: GPL-2.0

//! A dentry or an inode of the file system where one of a layer belongs, and the other way about.

use kernel::prelude::*;
use stacking::{
    cred::AsMounter,
    mount::WriteGuard,
    namei::Creating, //
};
use vfs::{
    dentry::Dentry,
    inode::Inode,
    FileSystem,
    Foreign, //
};

fn made_in_itself<'a, F: FileSystem>(
    write: &'a WriteGuard<'a>,
    m: &'a AsMounter,
    dir: &Dentry<F>,
) -> Result<Creating<'a>> {
    write.start_creating(m, dir, b"name")
    //~^ ERROR expected `&Dentry<Foreign>`, found `&Dentry<F>`
}

fn attributes_of_its_own<F: FileSystem>(inode: &Inode<F>, idmap: vfs::mount::Idmap<'_>) {
    inode.copy_attr(inode, idmap);
    //~^ ERROR expected `&Inode<Foreign>`, found `&Inode<F>`
}

fn data_of_a_layer(inode: &Inode<Foreign>) {
    inode.data();
    //~^ ERROR the method `data` exists for reference `&Inode<Foreign>`, but its trait bounds were not satisfied
}

fn two_file_systems<F: FileSystem, G: FileSystem>(dentry: &Dentry<F>) -> &Dentry<G> {
    dentry
    //~^ ERROR expected `&Dentry<G>`, found `&Dentry<F>`
}
