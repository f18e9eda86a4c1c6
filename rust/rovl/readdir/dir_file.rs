// SPDX-License-Identifier: GPL-2.0

//! Open directories.

use crate::{
    listing::cache::Listing,
    object::{
        entry::InodeExt,
        made_again::forget_if_removed,
        reason, //
    },
    readdir::{
        merged,
        real, //
    },
    Rovl, //
};
use kernel::{
    bindings::{
        SEEK_CUR,
        SEEK_SET, //
    },
    fs,
    prelude::*,
    sync::Arc, //
};
use stacking::{
    copy::sync_range,
    cred::AsMounter,
    dir_context::LayerDir, //
};
use vfs::{
    dir_context::DirContext,
    errno::WithReason,
    file::{
        File,
        Operations,
        Table, //
    },
    inode::{
        Inode,
        Locked,
        LockedByInode, //
    },
    publish::Once, //
};

/// What is known of an open directory.
pub(crate) struct DirFile {
    /// The directory of the topmost layer, as it was when this was opened.
    real: LayerDir<Rovl>,
    /// Whether that is the upper layer.
    is_upper: bool,
    /// The directory of the upper layer, where it was copied up since and has been needed.
    upper: Once<fs::File>,
    state: LockedByInode<Rovl, State>,
}

/// How the directory is read.
struct State {
    /// Straight from `real`. It may become a merged directory when it is copied up.
    is_real: bool,
    /// The entries of a merged directory, which stay as they are until it is read from the
    /// beginning.
    listing: Option<Arc<Listing>>,
}

impl State {
    /// Takes notice of what has changed, before the directory is read from the beginning.
    fn rewind(&mut self, inode: &Inode<Rovl>) {
        let version = inode.data().version();
        if let Some(old) = self.listing.take_if(|listing| listing.version != version) {
            inode.data().dir_cache.close(old);
        }
        self.is_real &= inode.is_real_dir();
    }
}

impl DirFile {
    /// The open directory of the upper layer, of one that was opened before copy up.
    #[inline]
    fn upper(&self, m: &AsMounter, inode: &Inode<Rovl>) -> Result<Option<&fs::File>> {
        let Some(path) = inode.real().upper_path() else {
            return Ok(None);
        };
        if let Some(file) = self.upper.get() {
            return Ok(Some(file));
        }
        Ok(self.upper.get_or_publish(path.open(m, false)?))
    }

    /// Moves the position in the entries of a merged directory.
    #[inline]
    fn seek_merged(file: &File<Rovl>, offset: i64, whence: i32) -> Result<i64> {
        let start = match u32::try_from(whence) {
            Ok(SEEK_SET) => 0,
            Ok(SEEK_CUR) => file.pos(),
            _ => return Err(reason::DIR_POSITION),
        };
        let pos = start.checked_add(offset).filter(|&pos| pos >= 0);
        let pos = pos.ok_or(reason::DIR_POSITION)?;
        file.set_pos(pos);
        Ok(pos)
    }

    /// The entries of a merged directory, as long as it is not read from the beginning.
    fn listing(
        &self,
        m: &AsMounter,
        file: &File<Rovl>,
        dir: &mut Locked<'_, Rovl>,
    ) -> Result<Arc<Listing>> {
        if let Some(listing) = &self.state.get(dir)?.listing {
            return Ok(listing.clone());
        }
        let listing = merged::open_listing(m, file.dentry(), dir)?;
        self.state.get(dir)?.listing = Some(listing.clone());
        Ok(listing)
    }
}

static TABLE: Table<DirFile> = Table::new();

#[vtable]
impl Operations for DirFile {
    type FileSystem = Rovl;
    type Ptr = KBox<Self>;
    const TABLE: &'static Table<Self> = &TABLE;

    #[inline]
    fn open(inode: &Inode<Rovl>, file: &File<Rovl>) -> Result<KBox<Self>> {
        if forget_if_removed(file.dentry(), None) {
            return Err(reason::LOWER_REMOVED);
        }
        let made_of = inode.real();
        let (kind, path) = (made_of.path_type(), made_of.top()?);
        let real = inode.ofs().as_mounter(|m| LayerDir::open(m, inode, path));
        if real.as_ref().is_err_and(|err| err.is(ESTALE)) {
            // It may be one of an overlay that has just found it to be removed.
            forget_if_removed(file.dentry(), None);
        }
        let real = real?;
        let state = State {
            is_real: !kind.merge && inode.is_real_dir(),
            listing: None,
        };
        let this = Self {
            real,
            is_upper: kind.upper,
            upper: Once::new(),
            state: LockedByInode::new(inode, state),
        };
        Ok(KBox::new(this, GFP_KERNEL)?)
    }

    #[inline]
    fn release(this: KBox<Self>, inode: &Inode<Rovl>) {
        if let Some(listing) = KBox::into_inner(this).state.into_inner().listing {
            inode.data().dir_cache.close(listing);
        }
    }

    #[inline]
    fn llseek(this: &Self, file: &File<Rovl>, offset: i64, whence: i32) -> Result<i64> {
        let inode = file.inode();
        let mut lock = inode.lock_rwsem();
        let mut dir = lock.proof();
        let state = this.state.get(&mut dir)?;
        if file.pos() == 0 {
            state.rewind(inode);
        }
        if !state.is_real {
            return Self::seek_merged(file, offset, whence);
        }
        let pos = inode
            .ofs()
            .as_mounter(|m| this.real.llseek(m, &mut dir, offset, whence));
        file.set_pos(this.real.pos());
        pos
    }

    #[inline]
    fn fsync(this: &Self, file: &File<Rovl>, start: i64, end: i64, datasync: bool) -> Result {
        let inode = file.inode();
        let ofs = inode.ofs();
        if !ofs.needs_sync()? {
            return Ok(());
        }
        ofs.as_mounter(|m| {
            if this.is_upper {
                return this.real.fsync_range(m, start, end, datasync);
            }
            match this.upper(m, inode)? {
                Some(upper) => sync_range(m, upper, start, end, datasync),
                // A lower directory does not change.
                None => Ok(()),
            }
        })
    }

    #[inline]
    fn iterate(
        this: &Self,
        file: &File<Rovl>,
        mut dir: Locked<'_, Rovl>,
        ctx: &mut DirContext<'_>,
    ) -> Result {
        let inode = file.inode();
        let state = this.state.get(&mut dir)?;
        if ctx.pos() == 0 {
            state.rewind(inode);
        }
        let is_real = state.is_real;
        inode.ofs().as_mounter(|m| {
            if is_real {
                return real::emit(m, file.path(), &mut dir, &this.real, this.is_upper, ctx);
            }
            let listing = this.listing(m, file, &mut dir)?;
            merged::emit(file.path(), &dir, &listing, ctx)
        })
    }
}
