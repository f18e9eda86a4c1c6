// SPDX-License-Identifier: GPL-2.0

//! Open files: reading, writing and mapping regular ones.
//!
//! All I/O is done on a file of the layer that has the data, so pages are cached once, in the
//! layer. A file that was opened before copy up, which only can have been for reading, opens the
//! upper file when it is used next, and so sees what is written from then on. A mapping stays what
//! it is.
//!
//! May use `upper`, `sync`, `query`, `object`, `observe`.

mod io;
mod open;
mod range;

use crate::{
    object::{
        current,
        entry::InodeExt,
        live::{
            Live,
            Unchanging, //
        },
        lower_data,
        reason, //
    },
    observe::trace::Why,
    query,
    upper::copy_up::copy_up_with_data,
    Rovl, //
};
use kernel::{
    bindings,
    prelude::*,
    sync::{
        aref::ARef,
        SetOnce, //
    }, //
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
    /// Those that have had it since other copies up, after layers were put on top.
    later: SetOnce<KBox<Later>>,
}

/// A file that has the data since a later copy up.
struct Later {
    real: ARef<BackingFile>,
    next: SetOnce<KBox<Later>>,
}

impl RegularFile {
    /// Of a file with the data in `real`.
    pub(crate) fn new(real: ARef<BackingFile>) -> Self {
        Self {
            real,
            upper: Once::new(),
            later: SetOnce::new(),
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
                let opened = open::open_again(file, path)?;
                self.upper
                    .get_or_publish(opened)
                    .ok_or(reason::NO_UPPER_FILE)?
            }
        };
        if upper.is_of(path.dentry) {
            Ok(upper)
        } else if file.inode().ofs().mounts.may_grow() {
            self.later_file(file, path)
        } else {
            Err(reason::UPPER_FILE_CHANGED)
        }
    }

    /// The file that is open on `path`, of those that were opened after a later copy up.
    #[cold]
    fn later_file(&self, file: &File<Rovl>, path: LayerPath<'_>) -> Result<&BackingFile> {
        if let Some(known) = self.known_later(path) {
            return Ok(known);
        }
        // Two tasks open it once.
        let _lock = file.inode().lock_mutex();
        if let Some(known) = self.known_later(path) {
            return Ok(known);
        }
        let later = Later {
            real: open::open_again(file, path)?,
            next: SetOnce::new(),
        };
        let later = KBox::new(later, GFP_KERNEL)?;
        let mut end = &self.later;
        while let Some(known) = end.as_ref() {
            end = &known.next;
        }
        if !end.populate(later) {
            return Err(reason::NO_UPPER_FILE);
        }
        Ok(&end.as_ref().ok_or(reason::NO_UPPER_FILE)?.real)
    }

    fn known_later(&self, path: LayerPath<'_>) -> Option<&BackingFile> {
        let mut next = self.later.as_ref();
        while let Some(known) = next {
            if known.real.is_of(path.dentry) {
                return Some(&known.real);
            }
            next = known.next.as_ref();
        }
        None
    }

    /// The file that is open on `path`, if it has been opened already.
    fn open_on(&self, path: LayerPath<'_>) -> Option<&BackingFile> {
        let mut files = [Some(&*self.real), self.upper.get()].into_iter().flatten();
        files
            .find(|real| real.is_of(path.dentry))
            .or_else(|| self.known_later(path))
    }

    /// Makes `vma` show the file, where layers change.
    ///
    /// A mapping that may be written is one of the upper layer, and of the file that was opened for writing
    /// there: nothing can be copied up and nothing be opened here, with the locks of the address space held.
    /// Returns `EBUSY` where it would not be: whoever writes to the descriptor, or opens the file once more, can
    /// map it.
    fn mmap_live(&self, file: &File<Rovl>, live: &Live, vma: NewVma<'_, Rovl>) -> Result {
        let inode = file.inode();
        let mounter = &inode.ofs().mounter;
        let is_written = vma.is_shared_and_writable()
            && file.flags() & bindings::O_ACCMODE != bindings::O_RDONLY;
        if !is_written {
            let current = inode.data_path().ok().and_then(|path| self.open_on(path));
            return current.unwrap_or(&*self.real).mmap::<Self>(mounter, vma);
        }
        if current::is_gone(file.dentry()) {
            return Err(reason::GONE);
        }
        let lock = live.mapping.lock();
        let upper = inode.real().upper_path().ok_or(EBUSY)?;
        let real = self.open_on(upper).ok_or(EBUSY)?;
        real.count_mapping(file)?;
        drop(lock);
        real.mmap::<Self>(mounter, vma)
    }
}

/// Keeps the layers as they are while `file` is written, which is copied up if what is written was put into
/// a lower layer since it was opened. To be called without a lock of the inode.
fn start_writing(file: &File<Rovl>) -> Result<Unchanging<'_>> {
    let layers = file.inode().ofs().start_writing();
    if layers.is_some() {
        copy_up_with_data(file.dentry(), Why::Open)?;
    }
    Ok(layers)
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
        let _layers = start_writing(file)?;
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
        if let Some(live) = file.inode().ofs().live() {
            return this.mmap_live(file, live, vma);
        }
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
