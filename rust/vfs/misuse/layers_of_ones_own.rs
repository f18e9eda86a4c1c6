// SPDX-License-Identifier: GPL-2.0

//! Another kind of layers, which would decide what an inode puts at its end.

use kernel::prelude::*;
use vfs::{
    bindings,
    layers::Layers,
    FileSystem, //
};

struct Mine;

impl Layers for Mine {
    //~^ ERROR the trait `Layers` requires an `unsafe impl` declaration
    const STACKING: bool = true;
    type Mounts = ();
    type Kept = ();

    fn rely_on(_kept: &mut (), _mounts: &()) -> Result {
        Ok(())
    }

    fn depth(_mounts: &()) -> u32 {
        0
    }

    fn new() -> Self {
        Self
    }

    unsafe fn revalidate<F: FileSystem<Layers = Self>>(
        _dentry: *mut bindings::dentry,
        _flags: u32,
        _weak: bool,
    ) -> Result<c_int> {
        Ok(1)
    }

    unsafe fn put(&self) {}

    unsafe fn free(&mut self) {}
}
