// SPDX-License-Identifier: GPL-2.0

//! Open directories: for each, the directory below is open, and passes its entries on.

use crate::{
    inode::inode_path,
    PassFs, //
};
use kernel::prelude::*;
use stacking::dir_context::LayerDir;
use vfs::{
    dir_context::DirContext,
    file::{
        File,
        Operations,
        Table, //
    },
    inode::{
        Inode,
        Locked, //
    }, //
};

/// What is known of an open directory. Its position is that of our file.
pub(crate) struct DirFile {
    below: LayerDir<PassFs>,
}

static TABLE: Table<DirFile> = Table::new();

#[vtable]
impl Operations for DirFile {
    type FileSystem = PassFs;
    type Ptr = KBox<Self>;
    const TABLE: &'static Table<Self> = &TABLE;

    fn open(inode: &Inode<PassFs>, _file: &File<PassFs>) -> Result<KBox<Self>> {
        let path = inode_path(inode)?;
        let below = inode
            .sb()
            .data()
            .as_mounter(|m| LayerDir::open(m, inode, path))?;
        Ok(KBox::new(Self { below }, GFP_KERNEL)?)
    }

    fn llseek(this: &Self, file: &File<PassFs>, offset: i64, whence: i32) -> Result<i64> {
        let inode = file.inode();
        let mut lock = inode.lock_rwsem();
        let pos = inode
            .sb()
            .data()
            .as_mounter(|m| this.below.llseek(m, &mut lock.proof(), offset, whence));
        file.set_pos(this.below.pos());
        pos
    }

    fn fsync(this: &Self, file: &File<PassFs>, start: i64, end: i64, datasync: bool) -> Result {
        file.inode()
            .sb()
            .data()
            .as_mounter(|m| this.below.fsync_range(m, start, end, datasync))
    }

    fn iterate(
        this: &Self,
        _file: &File<PassFs>,
        mut dir: Locked<'_, PassFs>,
        ctx: &mut DirContext<'_>,
    ) -> Result {
        dir.inode()
            .sb()
            .data()
            .as_mounter(|m| this.below.pass_on(m, &mut dir, ctx))
    }
}
