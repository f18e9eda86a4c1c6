// SPDX-License-Identifier: GPL-2.0

//! The lock of an inode of another file system, or the mutex of the inode, where `i_rwsem` is needed.

use kernel::prelude::*;
use stacking::{
    cred::AsMounter,
    mount::WriteGuard, //
};
use vfs::{
    dentry::Dentry,
    file::File,
    iattr::Iattr,
    inode::{
        InodeLock,
        InodeMutex, //
    },
    FileSystem,
    Foreign, //
};

fn of_ours<F: FileSystem>(
    write: &WriteGuard<'_>,
    m: &AsMounter,
    lock: &InodeLock<'_, F>,
    dentry: &Dentry<Foreign>,
) -> Result {
    write.notify_change(m, lock, dentry, &mut Iattr::mode(0))
    //~^ ERROR expected `&Locked<'_, Foreign>`, found `&InodeLock<'_, F>`
}

fn inode_mutex<F: FileSystem>(file: &File<F>, lock: &InodeMutex<'_, F>) -> Result {
    file.remove_privs(lock)
    //~^ ERROR expected `&Locked<'_, F>`, found `&InodeMutex<'_, F>`
}
