// SPDX-License-Identifier: GPL-2.0

//! Open regular files: for each, the file below is open as a *backing file*, to which reads, writes
//! and mappings are passed on.
//!
//! So pages are cached once, in the inode below. A backing file carries the path by which our file
//! was opened, for /proc/PID/maps and for security modules, which know nothing of the file below.

use crate::{
    inode::{
        inode_path,
        refresh, //
    },
    PassFs, //
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
    cred::AsMounter,
    prelude::*, //
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
        Table, //
    },
    inode::Inode, //
};

/// The flags that have done their work when a file is open.
const OPENING_FLAGS: u32 =
    bindings::O_CREAT | bindings::O_EXCL | bindings::O_NOCTTY | bindings::O_TRUNC;

/// What is known of an open file.
pub(crate) struct RegularFile {
    below: ARef<BackingFile>,
}

impl RegularFile {
    pub(crate) fn new(below: ARef<BackingFile>) -> Self {
        Self { below }
    }

    /// The file below, with the flags that ours has now: fcntl(2) may have changed them.
    fn below(&self, file: &File<PassFs>) -> Result<&BackingFile> {
        if (file.flags() ^ self.below.flags()) & !bindings::O_NOATIME != 0 {
            self.below.change_flags(file.flags())?;
        }
        Ok(&self.below)
    }
}

/// Runs `f`, which changes what `inode` contains, as the mounter; shows the result, also of a
/// failure, which may have come in the middle.
fn changing<R>(inode: &Inode<PassFs>, f: impl FnOnce(&AsMounter) -> Result<R>) -> Result<R> {
    let ret = inode.sb().data().as_mounter(f);
    refresh(inode);
    ret
}

static TABLE: Table<RegularFile> = Table::new();

#[vtable]
impl Operations for RegularFile {
    type FileSystem = PassFs;
    type Ptr = KBox<Self>;
    const TABLE: &'static Table<Self> = &TABLE;

    fn open(inode: &Inode<PassFs>, file: &File<PassFs>) -> Result<KBox<Self>> {
        // The VFS has checked the caller's permission, which includes that of the mounter.
        file.clear_flags(OPENING_FLAGS);
        let path = inode_path(inode)?;
        let below = inode.sb().data().as_mounter(|m| {
            // The access time changes through our inode, hence not a second time below.
            let flags = if path.owner_or_capable(m) {
                file.flags() | bindings::O_NOATIME
            } else {
                file.flags()
            };
            BackingFile::open(m, file, flags, path)
        })?;
        file.take_direct_io(&below);
        Ok(KBox::new(Self::new(below), GFP_KERNEL)?)
    }

    fn llseek(this: &Self, file: &File<PassFs>, offset: i64, whence: i32) -> Result<i64> {
        let inode = file.inode();
        let below = this.below(file)?;
        // Only the file below knows where there is data, so its position is moved, by one at a time.
        let lock = inode.lock_mutex();
        let pos = inode
            .sb()
            .data()
            .as_mounter(|m| below.llseek(m, &lock, file, offset, whence))?;
        file.set_pos(pos);
        Ok(pos)
    }

    fn read_iter(this: &Self, iocb: Kiocb<'_, PassFs>, iter: IovIterDest<'_>) -> Result<usize> {
        if iter.is_empty() {
            return Ok(0);
        }
        // The request is given up here: it may be complete, and gone, before the call returns.
        let file = iocb.file();
        let mounter = file.inode().sb().data().mounter();
        this.below(file)?.read_iter::<Self>(mounter, iocb, iter)
    }

    fn write_iter(this: &Self, iocb: Kiocb<'_, PassFs>, iter: IovIterSource<'_>) -> Result<usize> {
        if iter.is_empty() {
            return Ok(0);
        }
        let file = iocb.file();
        let inode = file.inode();
        let lock = inode.lock_rwsem();
        // Whether the write takes set-ID bits away depends on the mode.
        refresh(inode);
        let mounter = inode.sb().data().mounter();
        this.below(file)?
            .write_iter::<Self>(mounter, &lock, iocb, iter)
    }

    fn splice_read(
        this: &Self,
        file: &File<PassFs>,
        pos: &mut i64,
        pipe: PipeDest<'_>,
        len: usize,
        flags: u32,
    ) -> Result<usize> {
        let mounter = file.inode().sb().data().mounter();
        this.below(file)?
            .splice_read::<Self>(mounter, file, pos, pipe, len, flags)
    }

    fn splice_write(
        this: &Self,
        file: &File<PassFs>,
        pipe: PipeSource<'_>,
        pos: &mut i64,
        len: usize,
        flags: u32,
    ) -> Result<usize> {
        let inode = file.inode();
        let lock = inode.lock_rwsem();
        refresh(inode);
        let mounter = inode.sb().data().mounter();
        this.below(file)?
            .splice_write::<Self>(mounter, (&lock, file), pos, pipe, len, flags)
    }

    fn mmap(this: &Self, file: &File<PassFs>, vma: NewVma<'_, PassFs>) -> Result {
        this.below
            .mmap::<Self>(file.inode().sb().data().mounter(), vma)
    }

    fn fsync(this: &Self, file: &File<PassFs>, start: i64, end: i64, datasync: bool) -> Result {
        let below = this.below(file)?;
        file.inode()
            .sb()
            .data()
            .as_mounter(|m| below.fsync(m, start, end, datasync))
    }

    fn fallocate(this: &Self, file: &File<PassFs>, mode: i32, offset: i64, len: i64) -> Result {
        let inode = file.inode();
        let lock = inode.lock_rwsem();
        refresh(inode);
        file.remove_privs(&lock)?;
        let below = this.below(file)?;
        changing(inode, |m| below.fallocate(m, mode, offset, len))
    }

    fn fadvise(this: &Self, file: &File<PassFs>, offset: i64, len: i64, advice: i32) -> Result {
        let below = this.below(file)?;
        file.inode()
            .sb()
            .data()
            .as_mounter(|m| below.fadvise(m, offset, len, advice))
    }

    fn flush(this: &Self, file: &File<PassFs>, owner: FlOwner) -> Result {
        this.below(file)?
            .flush(file.inode().sb().data().mounter(), owner)
    }

    fn copy_file_range(
        src: FilePos<'_, Self>,
        dst: FilePos<'_, Self>,
        len: usize,
        flags: u32,
    ) -> Result<usize> {
        let inode = dst.file.inode();
        let lock = inode.lock_rwsem();
        refresh(inode);
        dst.file.remove_privs(&lock)?;
        let (from, to) = (src.private.below(src.file)?, dst.private.below(dst.file)?);
        // The source may be of another mount, with another mounter.
        src.file
            .inode()
            .sb()
            .data()
            .as_mounter(|m| from.verify_read(m, src.pos, len))?;
        changing(inode, |m| from.copy_to(m, src.pos, to, dst.pos, len, flags))
    }

    fn remap_file_range(
        src: FilePos<'_, Self>,
        dst: FilePos<'_, Self>,
        len: i64,
        flags: u32,
    ) -> Result<i64> {
        if flags & !(bindings::REMAP_FILE_DEDUP | bindings::REMAP_FILE_ADVISORY) != 0 {
            return Err(EINVAL);
        }
        let inode = dst.file.inode();
        let lock = inode.lock_rwsem();
        let (from, to) = (src.private.below(src.file)?, dst.private.below(dst.file)?);
        if flags & bindings::REMAP_FILE_DEDUP != 0 {
            return changing(inode, |m| {
                from.dedupe_to(m, src.pos, to, dst.pos, len, flags)
            });
        }
        refresh(inode);
        dst.file.remove_privs(&lock)?;
        changing(inode, |m| {
            from.clone_to(m, src.pos, to, dst.pos, len, flags)
        })
    }
}

impl Callbacks for RegularFile {
    type FileSystem = PassFs;

    fn accessed(file: &File<PassFs>) {
        if file.flags() & bindings::O_NOATIME == 0 {
            refresh_times(file.inode());
            file.path().touch_atime();
        }
    }

    fn end_write(file: &File<PassFs>) {
        // Size and times are new.
        refresh(file.inode());
    }
}

/// Shows the times of the file below, by which touch_atime() decides whether to set one.
fn refresh_times(inode: &Inode<PassFs>) {
    if let Some(below) = inode.real().and_then(|below| below.inode()) {
        inode.copy_times(below);
    }
}
