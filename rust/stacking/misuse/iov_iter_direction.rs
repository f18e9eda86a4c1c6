// SPDX-License-Identifier: GPL-2.0

//! An iterator in the wrong direction: what a task writes to a file would be written to.

use kernel::prelude::*;
use stacking::{
    backing_file::{
        BackingFile,
        Callbacks, //
    },
    cred::Mounter, //
};
use vfs::{
    file::{
        IovIterDest,
        IovIterSource,
        Kiocb, //
    },
    inode::InodeLock,
    FileSystem, //
};

fn read_into_source<C: Callbacks>(
    real: &BackingFile,
    mounter: &Mounter,
    iocb: Kiocb<'_, C::FileSystem>,
    iter: IovIterSource<'_>,
) -> Result<usize> {
    real.read_iter::<C>(mounter, iocb, iter)
    //~^ ERROR expected `IovIterDest<'_>`, found `IovIterSource<'_>`
}

fn write_from_dest<C: Callbacks>(
    real: &BackingFile,
    mounter: &Mounter,
    lock: &InodeLock<'_, C::FileSystem>,
    iocb: Kiocb<'_, C::FileSystem>,
    iter: IovIterDest<'_>,
) -> Result<usize> {
    real.write_iter::<C>(mounter, lock, iocb, iter)
    //~^ ERROR expected `IovIterSource<'_>`, found `IovIterDest<'_>`
}

fn read_page_cache<F: FileSystem>(iocb: Kiocb<'_, F>, iter: IovIterSource<'_>) -> Result<usize> {
    iocb.read_page_cache(iter)
    //~^ ERROR expected `IovIterDest<'_>`, found `IovIterSource<'_>`
}

fn write_page_cache<F: FileSystem>(iocb: Kiocb<'_, F>, iter: IovIterDest<'_>) -> Result<usize> {
    iocb.write_page_cache(iter)
    //~^ ERROR expected `IovIterSource<'_>`, found `IovIterDest<'_>`
}
