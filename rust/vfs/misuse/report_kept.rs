// SPDX-License-Identifier: GPL-2.0

//! The text of a file in sysfs, after it was written; and a report that ends before its file.

use core::fmt;
use kernel::{
    prelude::*,
    sync::Arc, //
};
use vfs::{
    super_block::NewSuperBlock,
    sysfs::{
        Directory,
        Report,
        Text, //
    },
    FileSystem, //
};

struct Keeps;

impl Report for Keeps {
    fn write(&self, text: &mut Text<'_>) -> fmt::Result {
        kept(text);
        //~^ ERROR borrowed data escapes outside of method
        Ok(())
    }
}

fn kept(_text: &'static mut Text<'static>) {}

fn borrowed<'a, F: FileSystem, T: Report>(
    sb: &mut NewSuperBlock<'_, F>,
    report: &'a T,
) -> Result<Option<Directory<T>>> {
    Directory::new(sb, report)
    //~^ ERROR mismatched types
}

fn right<F: FileSystem>(sb: &mut NewSuperBlock<'_, F>) -> Result<Option<Directory<Keeps>>> {
    Directory::new(sb, Arc::new(Keeps, GFP_KERNEL)?)
}
