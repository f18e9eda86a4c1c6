// SPDX-License-Identifier: GPL-2.0

//! The name of a dentry, after the time for which it stays.

use vfs::{
    dentry::{
        Child,
        Dentry, //
    },
    FileSystem, //
};

fn of_a_snapshot<F>(dentry: &Dentry<F>) -> &[u8] {
    dentry.with_name(|name| name)
    //~^ ERROR lifetime may not live long enough
}

fn of_an_operation<F: FileSystem>(dentry: Child<'_, F>) -> &'static [u8] {
    dentry.name()
    //~^ ERROR lifetime may not live long enough
}
