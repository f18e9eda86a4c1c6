// SPDX-License-Identifier: GPL-2.0

//! Making a mount.

use crate::{
    options::Context,
    Rovl, //
};
use kernel::prelude::*;
use vfs::{
    fs_context::FsContext,
    super_block::{
        NewSuperBlock,
        SuperBlock, //
    },
};

pub(crate) fn fill_super(
    _context: &mut Context,
    _fc: &FsContext,
    _sb: NewSuperBlock<'_, Rovl>,
) -> Result {
    Err(EINVAL)
}

pub(crate) fn reconfigure(_sb: &SuperBlock<Rovl>, _fc: &FsContext) -> Result {
    Ok(())
}
