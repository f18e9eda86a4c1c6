// SPDX-License-Identifier: GPL-2.0

//! Open directories.

use crate::{
    listing::cache::Listing,
    object::{
        current,
        entry::InodeExt,
        live::is_own,
        made_again::forget_if_removed,
        reason, //
    },
    query,
    readdir::{
        real,
        shown, //
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
    sync::{
        aref::ARef,
        Arc, //
    }, //
};
use stacking::{
    copy::sync_range,
    cred::AsMounter,
    dir_context::LayerDir,
    prelude::*, //
};
use vfs::{
    dir_context::DirContext,
    errno::WithReason,
    file::{
        File,
        OneUser,
        Operations,
        Request,
        Table, //
    },
    inode::{
        Inode,
        LockedShared, //
    },
    publish::Once, //
};

/// What is known of an open directory.
pub(crate) struct DirFile {
    /// The directory of the topmost layer, as it was when this was opened.
    real: ARef<fs::File>,
    /// Whether that is the upper layer, or was it.
    is_upper: bool,
    /// The directory of the upper layer, where it was copied up since and has been needed.
    upper: Once<fs::File>,
    state: OneUser<State>,
}

/// How the directory is read.
struct State {
    real: LayerDir,
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

    /// The entries of a merged directory, as long as it is not read from the beginning.
    fn listing(
        &mut self,
        m: &AsMounter,
        file: &File<Rovl>,
        dir: &LockedShared<'_, Rovl>,
    ) -> Result<&Listing> {
        let listing = match self.listing.take() {
            Some(listing) => listing,
            None => shown::open_listing(m, file.dentry(), dir)?,
        };
        Ok(self.listing.insert(listing))
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
}

/// Syncs the directory `inode` in all layers that are or were the upper one: names may have been made in each of them
/// since the last time.
#[cold]
fn sync_own(m: &AsMounter, inode: &Inode<Rovl>, start: i64, end: i64, datasync: bool) -> Result {
    for entry in inode.all_layers().unwrap_or_default() {
        if !is_own(inode, entry.layer()) {
            continue;
        }
        if let Some(path) = inode.ofs().lower_path(entry) {
            let dir = path.open(m, false)?;
            sync_range(m, &dir, start, end, datasync)?;
        }
    }
    Ok(())
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
        // What was removed is read as it was.
        if inode.nlink() != 0 {
            current::ensure(file.dentry())?;
        }
        let made_of = inode.real();
        let path = made_of.top()?;
        let first = made_of.lower().first();
        let was_upper = first.is_some_and(|first| is_own(inode, first.layer()));
        let real = inode.ofs().as_mounter(|m| LayerDir::open(m, path));
        if real.as_ref().is_err_and(|err| err.is(ESTALE)) {
            // It may be one of an overlay that has just found it to be removed.
            forget_if_removed(file.dentry(), None);
        }
        let real = real?;
        let file = real.file().clone();
        let state = State {
            real,
            is_real: !made_of.is_merged_dir() && inode.is_real_dir(),
            listing: None,
        };
        let this = Self {
            real: file,
            is_upper: made_of.upper().is_some() || was_upper,
            upper: Once::new(),
            state: OneUser::new(state),
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
        let state = &mut *this.state.get()?;
        if file.pos() == 0 {
            state.rewind(inode);
        }
        if !state.is_real {
            return Self::seek_merged(file, offset, whence);
        }
        let real = &mut state.real;
        let pos = inode.ofs().as_mounter(|m| real.llseek(m, offset, whence));
        file.set_pos(real.pos());
        pos
    }

    #[inline]
    fn ioctl(_this: &Self, file: &File<Rovl>, request: &Request) -> Result {
        query::ioctl(file, request)
    }

    #[inline]
    fn fsync(this: &Self, file: &File<Rovl>, start: i64, end: i64, datasync: bool) -> Result {
        let inode = file.inode();
        let ofs = inode.ofs();
        if !ofs.needs_sync()? {
            return Ok(());
        }
        ofs.as_mounter(|m| {
            if ofs.have_changed() {
                return sync_own(m, inode, start, end, datasync);
            }
            if this.is_upper {
                return sync_range(m, &this.real, start, end, datasync);
            }
            match this.upper(m, inode)? {
                Some(upper) => sync_range(m, upper, start, end, datasync),
                // A lower directory does not change.
                None => Ok(()),
            }
        })
    }

    #[inline]
    fn iterate_shared(
        this: &Self,
        file: &File<Rovl>,
        dir: LockedShared<'_, Rovl>,
        ctx: &mut DirContext<'_>,
    ) -> Result {
        let inode = file.inode();
        let state = &mut *this.state.get()?;
        if ctx.pos() == 0 {
            current::refresh(file.dentry())?;
            state.rewind(inode);
        }
        inode.ofs().as_mounter(|m| {
            if state.is_real {
                return real::emit(m, file.path(), &dir, &mut state.real, this.is_upper, ctx);
            }
            shown::emit(file.path(), &dir, state.listing(m, file, &dir)?, ctx)
        })
    }
}
