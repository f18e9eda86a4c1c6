// SPDX-License-Identifier: GPL-2.0

//! Open files: reading, writing and mapping regular ones.
//!
//! All I/O is done on a file of the layer that has the data, so pages are cached once, in the
//! layer. A file that was opened before copy up, which only can have been for reading, opens the
//! upper file when it is used next, and so sees what is written from then on. A mapping stays what
//! it is.
//!
//! May use `upper`, `sync`, `query`, `object`.

mod io;
mod open;
mod range;

use crate::{
    object::{
        entry::InodeExt,
        lower_data,
        reason, //
    },
    query,
    Rovl, //
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
    path::LayerPath, //
};
use vfs::{
    file::{
        File,
        FilePos,
        FlOwner,
        IovIterDest,
        IovIterSource,
        Kiocb,
        NewVma,
        Operations,
        PipeDest,
        PipeSource,
        Request,
        Table, //
    },
    inode::Inode,
    publish::Once, //
};

/// The flags with which files of layers are opened beside the user's: the access time of the layer
/// is updated through the overlay.
pub(crate) const EXTRA_FLAGS: u32 = bindings::O_NOATIME;

/// `SEEK_SET` and `SEEK_CUR`
const SEEK_SET: i32 = bindings::SEEK_SET as i32;
const SEEK_CUR: i32 = bindings::SEEK_CUR as i32;

/// What is known of an open regular file.
pub(crate) struct RegularFile {
    /// The file that had the data when this one was opened.
    real: ARef<BackingFile>,
    /// The file that has the data since copy up.
    upper: Once<BackingFile>,
}

impl RegularFile {
    /// Of a file with the data in `real`.
    pub(crate) fn new(real: ARef<BackingFile>) -> Self {
        Self {
            real,
            upper: Once::new(),
        }
    }

    /// The file of the layer that has the data now, with the flags of `file`.
    #[inline]
    fn real_file(&self, file: &File<Rovl>) -> Result<&BackingFile> {
        lower_data::ensure(file.dentry())?;
        self.real_file_at(file, file.inode().data_path()?)
    }

    /// The file of the layer that is open on `path`, with the flags of `file`.
    #[inline]
    fn real_file_at(&self, file: &File<Rovl>, path: LayerPath<'_>) -> Result<&BackingFile> {
        let real = if self.real.is_of(path.dentry) {
            &*self.real
        } else {
            self.upper_file(file, path)?
        };
        if (file.flags() ^ real.flags()) & !EXTRA_FLAGS != 0 {
            // fcntl() has changed those of the overlay's file since.
            real.change_flags(file.flags())?;
        }
        Ok(real)
    }

    /// The upper file of a file that was opened before copy up.
    ///
    /// Returns `EIO` where the upper file is another one by now, for which somebody must have
    /// changed the upper layer under us.
    #[cold]
    fn upper_file(&self, file: &File<Rovl>, path: LayerPath<'_>) -> Result<&BackingFile> {
        let upper = match self.upper.get() {
            Some(upper) => upper,
            None => {
                let opened = open::open_real(file, path)?;
                self.upper
                    .get_or_publish(opened)
                    .ok_or(reason::NO_UPPER_FILE)?
            }
        };
        if upper.is_of(path.dentry) {
            Ok(upper)
        } else {
            Err(reason::UPPER_FILE_CHANGED)
        }
    }
}

static TABLE: Table<RegularFile> = Table::new();

#[vtable]
impl Operations for RegularFile {
    type FileSystem = Rovl;
    type Ptr = KBox<Self>;
    const TABLE: &'static Table<Self> = &TABLE;

    #[inline]
    fn open(inode: &Inode<Rovl>, file: &File<Rovl>) -> Result<KBox<Self>> {
        open::open(inode, file)
    }

    #[inline]
    fn llseek(this: &Self, file: &File<Rovl>, offset: i64, whence: i32) -> Result<i64> {
        match (offset, whence) {
            // What needs no lock and no layer.
            (0, SEEK_CUR) => return Ok(file.pos()),
            (0, SEEK_SET) => {
                file.set_pos(0);
                return Ok(0);
            }
            _ => {}
        }
        let real = this.real_file(file)?;
        let inode = file.inode();
        // The position of this file is what counts; it outlives copy up. But only the layer knows
        // of holes and limits, so its file is moved from there, and not by two at once.
        let lock = inode.lock_mutex();
        let pos = inode
            .ofs()
            .as_mounter(|as_mounter| real.llseek(as_mounter, &lock, file, offset, whence))?;
        file.set_pos(pos);
        Ok(pos)
    }

    #[inline]
    fn read_iter(this: &Self, iocb: Kiocb<'_, Rovl>, iter: IovIterDest<'_>) -> Result<usize> {
        io::read_iter(this, iocb, iter)
    }

    #[inline]
    fn write_iter(this: &Self, iocb: Kiocb<'_, Rovl>, iter: IovIterSource<'_>) -> Result<usize> {
        io::write_iter(this, iocb, iter)
    }

    #[inline]
    fn splice_read(
        this: &Self,
        file: &File<Rovl>,
        pos: &mut i64,
        pipe: PipeDest<'_>,
        len: usize,
        flags: u32,
    ) -> Result<usize> {
        let mounter = &file.inode().ofs().mounter;
        this.real_file(file)?
            .splice_read::<Self>(mounter, file, pos, pipe, len, flags)
    }

    #[inline]
    fn splice_write(
        this: &Self,
        file: &File<Rovl>,
        pipe: PipeSource<'_>,
        pos: &mut i64,
        len: usize,
        flags: u32,
    ) -> Result<usize> {
        let inode = file.inode();
        let lock = inode.lock_rwsem();
        inode.copy_attr_from_real();
        this.real_file(file)?.splice_write::<Self>(
            &inode.ofs().mounter,
            (&lock, file),
            pos,
            pipe,
            len,
            flags,
        )
    }

    #[inline]
    fn mmap(this: &Self, file: &File<Rovl>, vma: NewVma<'_, Rovl>) -> Result {
        this.real.mmap::<Self>(&file.inode().ofs().mounter, vma)
    }

    #[inline]
    fn ioctl(_this: &Self, file: &File<Rovl>, request: &Request) -> Result {
        query::ioctl(file, request)
    }

    #[inline]
    fn fsync(this: &Self, file: &File<Rovl>, start: i64, end: i64, datasync: bool) -> Result {
        range::fsync(this, file, start, end, datasync)
    }

    #[inline]
    fn fallocate(this: &Self, file: &File<Rovl>, mode: i32, offset: i64, len: i64) -> Result {
        range::fallocate(this, file, mode, offset, len)
    }

    #[inline]
    fn fadvise(this: &Self, file: &File<Rovl>, offset: i64, len: i64, advice: i32) -> Result {
        let real = this.real_file(file)?;
        file.inode()
            .ofs()
            .as_mounter(|as_mounter| real.fadvise(as_mounter, offset, len, advice))
    }

    #[inline]
    fn flush(this: &Self, file: &File<Rovl>, owner: FlOwner) -> Result {
        this.real_file(file)?
            .flush(&file.inode().ofs().mounter, owner)
    }

    #[inline]
    fn copy_file_range(
        src: FilePos<'_, Self>,
        dst: FilePos<'_, Self>,
        len: usize,
        flags: u32,
    ) -> Result<usize> {
        range::copy(&src, &dst, len, flags)
    }

    #[inline]
    fn remap_file_range(
        src: FilePos<'_, Self>,
        dst: FilePos<'_, Self>,
        len: i64,
        flags: u32,
    ) -> Result<i64> {
        range::remap(&src, &dst, len, flags)
    }
}

impl Callbacks for RegularFile {
    type FileSystem = Rovl;

    fn accessed(file: &File<Rovl>) {
        io::accessed(file);
    }

    fn end_write(file: &File<Rovl>) {
        // Size and times are new.
        file.inode().copy_attr_from_real();
    }
}
