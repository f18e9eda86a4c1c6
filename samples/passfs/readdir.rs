// SPDX-License-Identifier: GPL-2.0

//! Open directories: for each, the directory below is open, and passes its entries on.

use crate::{
    inode::inode_path,
    PassFs, //
};
use kernel::{
    fs,
    prelude::*,
    sync::aref::ARef, //
};
use stacking::{
    copy::sync_range,
    dir_context::LayerDir, //
};
use vfs::{
    dir_context::DirContext,
    file::{
        File,
        Operations,
        Table, //
    },
    inode::{
        Inode,
        Locked,
        LockedByInode, //
    }, //
};

/// What is known of an open directory. Its position is that of our file.
pub(crate) struct DirFile {
    /// The directory below, for what does not read it.
    file: ARef<fs::File>,
    below: LockedByInode<PassFs, LayerDir>,
}

static TABLE: Table<DirFile> = Table::new();

#[vtable]
impl Operations for DirFile {
    type FileSystem = PassFs;
    type Ptr = KBox<Self>;
    const TABLE: &'static Table<Self> = &TABLE;

    fn open(inode: &Inode<PassFs>, _file: &File<PassFs>) -> Result<KBox<Self>> {
        let path = inode_path(inode)?;
        let below = inode.sb().data().as_mounter(|m| LayerDir::open(m, path))?;
        let this = Self {
            file: below.file().clone(),
            below: LockedByInode::new(inode, below),
        };
        Ok(KBox::new(this, GFP_KERNEL)?)
    }

    fn llseek(this: &Self, file: &File<PassFs>, offset: i64, whence: i32) -> Result<i64> {
        let inode = file.inode();
        let mut lock = inode.lock_rwsem();
        let mut lock = lock.proof();
        let below = this.below.get(&mut lock)?;
        let pos = inode
            .sb()
            .data()
            .as_mounter(|m| below.llseek(m, offset, whence));
        file.set_pos(below.pos());
        pos
    }

    fn fsync(this: &Self, file: &File<PassFs>, start: i64, end: i64, datasync: bool) -> Result {
        file.inode()
            .sb()
            .data()
            .as_mounter(|m| sync_range(m, &this.file, start, end, datasync))
    }

    fn iterate(
        this: &Self,
        _file: &File<PassFs>,
        mut dir: Locked<'_, PassFs>,
        ctx: &mut DirContext<'_>,
    ) -> Result {
        let inode = dir.inode();
        let below = this.below.get(&mut dir)?;
        inode.sb().data().as_mounter(|m| below.pass_on(m, ctx))
    }
}
