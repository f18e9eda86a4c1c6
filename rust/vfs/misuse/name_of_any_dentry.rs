// SPDX-License-Identifier: GPL-2.0

//! The name of a dentry that another task may rename at any time.

use vfs::dentry::Dentry;

fn name<F>(dentry: &Dentry<F>) -> &[u8] {
    dentry.name()
    //~^ ERROR no method named `name` found
}
