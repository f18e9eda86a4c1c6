// SPDX-License-Identifier: GPL-2.0

//! Objects and proofs that only C, or a lock, can make.

use stacking::cred::{
    AsMounter,
    Mounter, //
};
use vfs::{
    dentry::{
        Child,
        Dentry,
        LockedDentry,
        Negative, //
    },
    inode::{
        Inode,
        Locked, //
    },
    layers,
    Foreign, //
};

fn from_a_pointer(dentry: *mut core::ffi::c_void) {
    let _ = Dentry::<Foreign>::from_raw(dentry.cast());
    //~^ ERROR call to unsafe function `Dentry::<F>::from_raw` is unsafe
}

fn child_of_any<F>(dentry: &Dentry<F>) {
    let _ = Child(dentry);
    //~^ ERROR cannot initialize a tuple struct which contains private fields
}

fn negative_of_any<F>(dentry: Child<'_, F>) {
    let _ = Negative(dentry);
    //~^ ERROR cannot initialize a tuple struct which contains private fields
}

fn locked_dentry_of_two<F>(dentry: &Dentry<F>, inode: Locked<'_, F>) {
    let _ = LockedDentry::new(dentry, inode);
    //~^ ERROR associated function `new` is private
}

fn locked_of_any<F>(inode: &Inode<F>) {
    let _ = Locked::new(inode);
    //~^ ERROR associated function `new` is private
}
