// SPDX-License-Identifier: GPL-2.0

//! The proof that a super block has a root, of another super block than the one that is filled.

use kernel::prelude::*;
use vfs::{
    super_block::{
        Filled,
        NewSuperBlock, //
    },
    FileSystem, //
};

fn of_an_earlier_one<'a, 'b, F: FileSystem>(
    _sb: NewSuperBlock<'a, F>,
    earlier: Filled<'b, F>,
) -> Result<Filled<'a, F>> {
    Ok(earlier)
    //~^ ERROR lifetime may not live long enough
}

fn kept_for_later<'a, F: FileSystem>(filled: Filled<'a, F>) -> KBox<dyn core::any::Any> {
    match KBox::new(filled, GFP_KERNEL) {
        Ok(kept) => kept,
        //~^ ERROR lifetime may not live long enough
        Err(_) => loop {},
    }
}
