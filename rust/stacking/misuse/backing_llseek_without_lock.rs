// SPDX-License-Identifier: GPL-2.0

//! The position of a backing file, moved without a lock, or under one of another kind.

use kernel::prelude::*;
use stacking::{
    backing_file::BackingFile,
    cred::AsMounter, //
};
use vfs::{
    inode::InodeLock,
    FileSystem, //
};

fn without_lock<F: FileSystem>(m: &AsMounter, file: &BackingFile) -> Result<i64> {
    file.llseek::<F>(m, 0, 0, 0)
    //~^ ERROR this method takes 5 arguments but 4 arguments were supplied
}

fn under_rwsem<F: FileSystem>(
    m: &AsMounter,
    file: &BackingFile,
    lock: &InodeLock<'_, F>,
) -> Result<i64> {
    file.llseek(m, lock, 0, 0, 0)
    //~^ ERROR expected `&InodeMutex<'_, _>`, found `&InodeLock<'_, F>`
}
