// SPDX-License-Identifier: GPL-2.0

//! The position of a backing file, moved without a lock, or under one of another kind.

use kernel::prelude::*;
use stacking::{
    backing_file::BackingFile,
    cred::AsMounter, //
};
use vfs::{
    file::File,
    inode::InodeLock,
    FileSystem, //
};

fn without_lock<F: FileSystem>(m: &AsMounter, real: &BackingFile, file: &File<F>) -> Result<i64> {
    real.llseek(m, file, 0, 0)
    //~^ ERROR this method takes 5 arguments but 4 arguments were supplied
}

fn under_rwsem<F: FileSystem>(
    m: &AsMounter,
    real: &BackingFile,
    file: &File<F>,
    lock: &InodeLock<'_, F>,
) -> Result<i64> {
    real.llseek(m, lock, file, 0, 0)
    //~^ ERROR expected `&InodeMutex<'_, F>`, found `&InodeLock<'_, F>`
}
