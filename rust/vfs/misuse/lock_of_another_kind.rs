// SPDX-License-Identifier: GPL-2.0

//! The lock of an inode of another file system, or the inode's own lock, where `i_rwsem` is needed.

use kernel::prelude::*;
use vfs::{
    cred::AsMounter,
    dentry::Dentry,
    file::OwnFile,
    iattr::Iattr,
    inode::{
        InodeLock,
        OwnLock, //
    },
    mount::WriteGuard,
    FileSystem,
    Layer, //
};

fn of_ours<F: FileSystem>(
    write: &WriteGuard<'_>,
    m: &AsMounter,
    lock: &InodeLock<'_, F>,
    dentry: &Dentry<Layer>,
) -> Result {
    write.notify_change(m, lock, dentry, &Iattr::mode(0))
    //~^ ERROR expected `&Locked<'_, Layer>`, found `&InodeLock<'_, F>`
}

fn own_lock<F: FileSystem>(file: &OwnFile<F>, lock: &OwnLock<'_, F>) -> Result {
    file.remove_privs(lock)
    //~^ ERROR expected `&Locked<'_, F>`, found `&OwnLock<'_, F>`
}
