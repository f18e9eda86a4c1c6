// SPDX-License-Identifier: GPL-2.0

//! A pipe in the wrong direction: one that data goes to is locked, one that it comes from is not.

use kernel::prelude::*;
use vfs::{
    file::{
        File,
        PipeDest,
        PipeSource, //
    },
    FileSystem, //
};

fn fill_unlocked<F: FileSystem>(file: &File<F>, pipe: PipeSource<'_>) -> Result<usize> {
    file.splice_page_cache(&mut 0, pipe, 1, 0)
    //~^ ERROR expected `Pipe<'_, Dest>`, found `Pipe<'_, Source>`
}

fn lock_twice<F: FileSystem>(file: &File<F>, pipe: PipeDest<'_>) -> Result<usize> {
    file.splice_by_write(pipe, &mut 0, 1, 0)
    //~^ ERROR expected `Pipe<'_, Source>`, found `Pipe<'_, Dest>`
}
