// SPDX-License-Identifier: GPL-2.0

//! Operations of a mounted overlay as a whole.

use crate::{
    live,
    object::{
        entry::InodeExt,
        ino_space::InoSpace, //
    },
    sync,
    Rovl, //
};
use kernel::prelude::*;
use stacking::prelude::*;
use vfs::{
    dentry::Dentry,
    super_block::{
        Operations,
        SeqOptions,
        Statfs,
        SuperBlock, //
    },
};

/// `OVERLAYFS_SUPER_MAGIC`
pub(crate) const MAGIC: c_long = 0x794c_7630;

/// Operations of the super block.
pub(crate) struct SuperOps;

#[vtable]
impl Operations for SuperOps {
    type FileSystem = Rovl;

    #[inline]
    fn statfs(dentry: &Dentry<Rovl>, buf: &mut Statfs) -> Result {
        let sb = dentry.sb();
        let root = sb.root().and_then(Dentry::inode).ok_or(EIO)?;
        buf.of_layer(root.real().top()?)?;
        buf.set_type(MAGIC, c_long::try_from(sb.data().namelen)?);
        if sb.data().config.has_fsid() {
            buf.set_fsid(sb);
        }
        Ok(())
    }

    #[inline]
    fn sync_fs(sb: &SuperBlock<Rovl>, wait: bool) -> Result {
        let ofs = sb.data();
        let Some(upper) = ofs.mounts.upper() else {
            return Ok(());
        };
        if !ofs.config.should_sync() {
            // A volatile mount only reports that what it did is lost.
            return upper.sb().errseq_check(ofs.errseq).map_err(|_| EIO);
        }
        // With sync(2) the upper file system gets a call of its own (SB_I_SKIP_SYNC).
        if wait {
            sync::sync(sb)?;
        }
        Ok(())
    }

    #[inline]
    fn put_super(sb: &SuperBlock<Rovl>) {
        let ofs = sb.data();
        // What could not be written, or was written by others since.
        ofs.unwritten.clear();
        ofs.remove_shared_whiteout();
    }

    #[inline]
    fn nr_cached_objects(sb: &SuperBlock<Rovl>) -> usize {
        sb.data().keeper.count()
    }

    #[inline]
    fn free_cached_objects(sb: &SuperBlock<Rovl>, count: usize) -> usize {
        sb.data().keeper.free(count)
    }

    #[inline]
    fn show_options(root: &Dentry<Rovl>, m: &SeqOptions<'_>) {
        let ofs = root.sb().data();
        let same_fs = ofs.ino_space == InoSpace::OneFs;
        if ofs.shows_other_layers() {
            live::list::show(root.sb(), m);
        } else {
            ofs.config.show_layers(m, ofs.num_data);
        }
        ofs.config.show(m, same_fs);
    }
}
