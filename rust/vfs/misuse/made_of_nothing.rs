// SPDX-License-Identifier: GPL-2.0

//! Objects and proofs that only C, or a lock, can make.

use vfs::{
    cred::{
        AsMounter,
        Mounter, //
    },
    dentry::{
        Dentry,
        Stable, //
    },
    inode::{
        Inode,
        Locked, //
    },
    layers,
    Layer, //
};

fn from_a_pointer(dentry: *mut core::ffi::c_void) {
    let _ = Dentry::<Layer>::from_raw(dentry.cast());
    //~^ ERROR associated function `from_raw` is private
}

fn stable_of_any<F>(dentry: &Dentry<F>) {
    let _ = Stable(dentry);
    //~^ ERROR cannot initialize a tuple struct which contains private fields
}

fn locked_of_any<F>(inode: &Inode<F>) {
    let _ = Locked::new(inode);
    //~^ ERROR associated function `new` is private
}
