// SPDX-License-Identifier: GPL-2.0

//! A request that was started: whoever completes it frees it, with its iterator.

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
        Kiocb, //
    },
    FileSystem, //
};

fn changed_later<C: Callbacks>(
    real: &BackingFile,
    mounter: &Mounter,
    iocb: Kiocb<'_, C::FileSystem>,
    iter: IovIterDest<'_>,
) -> Result<usize> {
    let read = real.read_iter::<C>(mounter, iocb, iter);
    let _ = iocb.without_sync();
    //~^ ERROR use of moved value: `iocb`
    read
}

fn count_later<F: FileSystem>(iocb: Kiocb<'_, F>, iter: IovIterDest<'_>) -> bool {
    let _ = iocb.read_page_cache(iter);
    iter.is_empty()
    //~^ ERROR borrow of moved value: `iter`
}
