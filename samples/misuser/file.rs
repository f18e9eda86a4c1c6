// SPDX-License-Identifier: GPL-2.0

//! What is tried in operations of open files. What a file is for is its name.

use crate::{
    below,
    Misuser, //
};
use kernel::{
    bindings,
    prelude::*,
    sync::aref::ARef, //
};
use stacking::{
    backing_file::{
        BackingFile,
        Callbacks, //
    },
    prelude::*, //
};
use vfs::{
    address_space,
    file::{
        File,
        FilePos,
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
    super_block::SuperBlock, //
};

/// Pages of files.
pub(crate) struct Pages;

static PAGES: address_space::Table<Pages> = address_space::Table::new();

impl address_space::Operations for Pages {
    type FileSystem = Misuser;
    const TABLE: &'static address_space::Table<Self> = &PAGES;

    fn take_page(_sb: &SuperBlock<Misuser>) -> Result {
        Ok(())
    }

    fn give_page(_sb: &SuperBlock<Misuser>) {}
}

/// The file `file` of the upper layer, opened for reading only.
fn read_only(file: &File<Misuser>) -> Result<ARef<BackingFile>> {
    read_only_with(file, 0)
}

/// The same with more flags.
fn read_only_with(file: &File<Misuser>, flags: u32) -> Result<ARef<BackingFile>> {
    let fs = file.inode().sb().data();
    fs.mounter().run(|m| {
        let root = fs.root()?;
        let below = root.lookup(m, b"file")?;
        let path = stacking::path::LayerPath::new(root.mount, &below)?;
        BackingFile::open(m, file, bindings::O_RDONLY | flags, path)
    })
}

/// Open files in which something is tried.
pub(crate) enum Trying {}

static TRYING: Table<Trying> = Table::new();

impl Callbacks for Trying {
    type FileSystem = Misuser;

    fn accessed(_file: &File<Misuser>) {}

    fn end_write(_file: &File<Misuser>) {}
}

#[vtable]
impl Operations for Trying {
    type FileSystem = Misuser;
    type Ptr = ();
    const TABLE: &'static Table<Self> = &TRYING;

    fn open(_inode: &Inode<Misuser>, file: &File<Misuser>) -> Result {
        if file.dentry().with_name(|name| name == b"read-and-forget") {
            file.take_direct_io(&*read_only(file)?);
        }
        Ok(())
    }

    fn read_iter((): (), iocb: Kiocb<'_, Misuser>, iter: IovIterDest<'_>) -> Result<usize> {
        let file = iocb.file();
        file.dentry().with_name(|name| match name {
            b"read-without-pages" => iocb.read_page_cache(iter),
            b"read-too-much" => Ok(iter.len().saturating_add(1)),
            b"read-queued" => Err(EIOCBQUEUED),
            b"read-and-forget" => {
                // It goes on after this, and is not complete though that is what is said here.
                let real = read_only_with(file, bindings::O_DIRECT)?;
                let mounter = file.inode().sb().data().mounter();
                let _ = real.read_iter::<Self>(mounter, iocb, iter);
                Ok(0)
            }
            _ => below::attempt(name, file).map(|()| 0),
        })
    }

    fn write_iter((): (), iocb: Kiocb<'_, Misuser>, iter: IovIterSource<'_>) -> Result<usize> {
        let file = iocb.file();
        file.dentry().with_name(|name| match name {
            b"write-without-pages" => iocb.write_page_cache(iter),
            b"write-too-much" => Ok(iter.len().saturating_add(1)),
            b"write-queued" => Err(EIOCBQUEUED),
            b"write-lock-of-another" => {
                let real = read_only(file)?;
                let sb = file.inode().sb();
                let root = sb.root().and_then(|root| root.inode()).ok_or(EIO)?;
                let lock = root.lock_rwsem();
                real.write_iter::<Self>(sb.data().mounter(), &lock, iocb, iter)
            }
            b"write-read-only-below" => {
                let real = read_only(file)?;
                let inode = file.inode();
                let lock = inode.lock_rwsem();
                real.write_iter::<Self>(inode.sb().data().mounter(), &lock, iocb, iter)
            }
            _ => Err(ENOSYS),
        })
    }

    fn splice_read(
        (): (),
        file: &File<Misuser>,
        pos: &mut i64,
        pipe: PipeDest<'_>,
        len: usize,
        flags: u32,
    ) -> Result<usize> {
        file.dentry().with_name(|name| match name {
            b"splice-without-pages" => file.splice_page_cache(pos, pipe, len, flags),
            b"paged-splice-before-start" => file.splice_page_cache(&mut -1, pipe, len, flags),
            b"splice-below-before-start" => {
                let mounter = file.inode().sb().data().mounter();
                read_only(file)?.splice_read::<Self>(mounter, file, &mut -1, pipe, len, flags)
            }
            _ => Err(ENOSYS),
        })
    }

    fn splice_write(
        (): (),
        file: &File<Misuser>,
        pipe: PipeSource<'_>,
        pos: &mut i64,
        len: usize,
        flags: u32,
    ) -> Result<usize> {
        let inode = file.inode();
        let mounter = inode.sb().data().mounter();
        file.dentry().with_name(|name| match name {
            b"paged-splice-to-before-start" => file.splice_by_write(pipe, &mut -1, len, flags),
            b"splice-to-read-only-below" => {
                let lock = inode.lock_rwsem();
                read_only(file)?.splice_write::<Self>(mounter, (&lock, file), pos, pipe, len, flags)
            }
            _ => Err(ENOSYS),
        })
    }

    fn mmap((): (), file: &File<Misuser>, vma: NewVma<'_, Misuser>) -> Result {
        file.dentry().with_name(|name| match name {
            b"mmap-without-pages" => vma.show_page_cache::<Pages>(),
            b"mmap-read-only-below" => {
                let mounter = file.inode().sb().data().mounter();
                read_only(file)?.mmap::<Self>(mounter, vma)
            }
            _ => Err(ENOSYS),
        })
    }

    /// Reached, it has got an open file of other operations as one of these.
    fn remap_file_range(
        _src: FilePos<'_, Self>,
        _dst: FilePos<'_, Self>,
        len: i64,
        _flags: u32,
    ) -> Result<i64> {
        Ok(len)
    }
}

/// Open files of another kind.
pub(crate) enum Other {}

static OTHER: Table<Other> = Table::new();

#[vtable]
impl Operations for Other {
    type FileSystem = Misuser;
    type Ptr = ();
    const TABLE: &'static Table<Self> = &OTHER;

    fn open(_inode: &Inode<Misuser>, _file: &File<Misuser>) -> Result {
        Ok(())
    }

    fn splice_write(
        (): (),
        file: &File<Misuser>,
        pipe: PipeSource<'_>,
        pos: &mut i64,
        len: usize,
        flags: u32,
    ) -> Result<usize> {
        // There is no write_iter.
        file.splice_by_write(pipe, pos, len, flags)
    }

    /// See that of [`Trying`].
    fn copy_file_range(
        _src: FilePos<'_, Self>,
        _dst: FilePos<'_, Self>,
        len: usize,
        _flags: u32,
    ) -> Result<usize> {
        Ok(len)
    }
}
