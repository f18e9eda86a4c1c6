// SPDX-License-Identifier: GPL-2.0

//! Regular files: their data is in the page cache, and nowhere else.

use crate::MemFs;
use kernel::prelude::*;
use vfs::{
    address_space,
    file::{
        File,
        IovIterDest,
        IovIterSource,
        Kiocb,
        NewVma,
        Operations,
        PipeDest,
        PipeSource,
        Table, //
    },
    inode::Inode,
    super_block::SuperBlock,
};

/// The room for the pages of files.
pub(crate) struct Pages;

static PAGES: address_space::Table<Pages> = address_space::Table::new();

impl address_space::Operations for Pages {
    type FileSystem = MemFs;
    const TABLE: &'static address_space::Table<Self> = &PAGES;

    fn take_page(sb: &SuperBlock<MemFs>) -> Result {
        sb.data().take_page()
    }

    fn give_page(sb: &SuperBlock<MemFs>) {
        sb.data().give_page();
    }
}

/// Operations of regular files.
pub(crate) enum RegularFile {}

static TABLE: Table<RegularFile> = Table::new();

#[vtable]
impl Operations for RegularFile {
    type FileSystem = MemFs;
    /// What is known of an open file: nothing.
    type Ptr = ();
    const TABLE: &'static Table<Self> = &TABLE;

    fn open(_inode: &Inode<MemFs>, _file: &File<MemFs>) -> Result {
        Ok(())
    }

    fn llseek((): (), file: &File<MemFs>, offset: i64, whence: i32) -> Result<i64> {
        file.generic_llseek(offset, whence)
    }

    fn read_iter((): (), iocb: Kiocb<'_, MemFs>, iter: IovIterDest<'_>) -> Result<usize> {
        iocb.read_page_cache(iter)
    }

    fn write_iter((): (), iocb: Kiocb<'_, MemFs>, iter: IovIterSource<'_>) -> Result<usize> {
        iocb.write_page_cache(iter)
    }

    fn splice_read(
        (): (),
        file: &File<MemFs>,
        pos: &mut i64,
        pipe: PipeDest<'_>,
        len: usize,
        flags: u32,
    ) -> Result<usize> {
        file.splice_page_cache(pos, pipe, len, flags)
    }

    fn splice_write(
        (): (),
        file: &File<MemFs>,
        pipe: PipeSource<'_>,
        pos: &mut i64,
        len: usize,
        flags: u32,
    ) -> Result<usize> {
        file.splice_by_write(pipe, pos, len, flags)
    }

    fn mmap((): (), _file: &File<MemFs>, vma: NewVma<'_, MemFs>) -> Result {
        vma.show_page_cache::<Pages>()
    }

    /// There is nothing to write back to.
    fn fsync((): (), _file: &File<MemFs>, _start: i64, _end: i64, _datasync: bool) -> Result {
        Ok(())
    }
}
