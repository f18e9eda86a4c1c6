// SPDX-License-Identifier: GPL-2.0

//! A super block that `fill_super` leaves without a root, which the VFS answers with BUG().

use kernel::prelude::*;
use vfs::{
    super_block::{
        Filled,
        NewSuperBlock, //
    },
    FileSystem, //
};

fn nothing_done<'a, F: FileSystem>(_sb: NewSuperBlock<'a, F>) -> Result<Filled<'a, F>> {
    Ok(())
    //~^ ERROR expected `Filled<'_, F>`, found `()`
}

fn made_by_hand<'a, F: FileSystem>(_sb: NewSuperBlock<'a, F>) -> Result<Filled<'a, F>> {
    Ok(Filled {})
    //~^ ERROR cannot construct `Filled<'_, _>` with struct literal syntax due to private fields
}
