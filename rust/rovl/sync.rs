// SPDX-License-Identifier: GPL-2.0

//! Sync: what this overlay has changed in its upper layer is made durable, and not what others have
//! changed on that file system.
//!
//! Files that may have dirty data are listed ([`Files`]), when they are opened for writing and in the few
//! other places where data gets dirty. Names and inodes are in the journal of the file system below, of
//! which there is only one: it is enough to know whether something was changed at all, which whoever
//! gives write access back notes. Where the file system does not promise that this is enough (see
//! [`UpperFs`](crate::object::upper_fs::UpperFs)), all of it is synced.
//!
//! May use `object`, `observe`.

use crate::{
    object::{
        entry::InodeExt,
        super_data::Super,
        upper_fs::OwnSync, //
    },
    observe::{
        stats::{
            Counter,
            Start, //
        },
        trace, //
    },
    Rovl, //
};
use kernel::prelude::*;
use ondisk::xattr::Name;
use stacking::{
    mount::UpperMount,
    unwritten::Files, //
};
use vfs::{
    dentry::Dentry,
    errno::WithReason,
    inode::{
        Inode,
        WritebackErrors, //
    },
    stat::StatRequest,
    super_block::{
        SuperBlock,
        UmountLock, //
    }, //
};

/// Makes durable what was done through the overlay before, and waits for it.
///
/// The caller holds `s_umount` of the overlay.
pub(crate) fn sync(sb: &SuperBlock<Rovl>) -> Result {
    let ofs = sb.data();
    let Some(upper) = ofs.mounts.upper() else {
        return Ok(());
    };
    match ofs.own_sync() {
        OwnSync::Nothing => return Ok(()),
        OwnSync::Unknown => {}
        OwnSync::Files { flush, twice } => {
            // Who comes second must not go before what the first one has taken is written.
            let _one = ofs.syncing.lock();
            let fs = upper.sb().lock_umount();
            if fs.is_rdonly() {
                return Ok(());
            }
            // Times that are written when it is convenient are in no journal yet.
            if !fs.is_lazytime() && !ofs.unwritten.is_incomplete() {
                return sync_own(sb, &fs, flush, twice);
            }
        }
    }
    let start = Start::now();
    let synced = upper.sb().sync();
    ofs.stats.count(Counter::SyncsFull);
    ofs.note_sync(sb, synced, None, start);
    synced
}

/// Syncs the files that are listed, and names and inodes; `flush` and `twice` are those of [`OwnSync::Files`].
fn sync_own(sb: &SuperBlock<Rovl>, fs: &UmountLock<'_>, flush: bool, twice: bool) -> Result {
    let ofs = sb.data();
    // Each of these is taken before what it tells of is written: what comes later is for the next one.
    let changed = ofs.mounts.take_changed();
    let files = ofs.unwritten.take();
    let written = !files.is_empty();
    if !changed && !written {
        return ask_upper(sb);
    }
    let start = Start::now();
    // CAST: `usize` has at most 64 bits.
    let count = files.len() as u64;
    ofs.stats.count(Counter::SyncsOwn);
    ofs.stats.add(Counter::FilesSynced, count);
    let failed = |err| sb.note_writeback_error(err);
    // tools/powercut builds one that must be caught.
    if !cfg!(rovl_break_sync_wait) {
        files.start(failed);
        if twice {
            files.start(failed);
        }
        files.wait();
    }
    // Before the journal and the cache of the device, so that this is durable, too: what is not put back to
    // the list.
    files.settle(failed);
    let flushes = flush && written;
    let synced = fs
        .sync_fs()
        .and_then(|()| if flushes { fs.flush_device() } else { Ok(()) });
    if synced.is_err() {
        ofs.mounts.note_change();
        if written {
            ofs.unwritten.note_written();
        }
    }
    ofs.note_sync(sb, synced, Some(count), start);
    synced
}

/// Where there is nothing to sync, finds out whether the upper file system works at all: one that was shut down
/// would say so in `->sync_fs`, which writes what others have changed. ext4 tells whoever reads an
/// attribute, xfs whoever asks for a status.
fn ask_upper(sb: &SuperBlock<Rovl>) -> Result {
    let ofs = sb.data();
    // At umount there is no root any more, and nobody who gets the error.
    let Some(root) = sb.root().and_then(Dentry::inode) else {
        return Ok(());
    };
    let Some(upper) = root.real().upper_path() else {
        return Ok(());
    };
    ofs.as_mounter(|m| {
        upper.getattr_nosec(m, StatRequest::BASIC)?;
        match ofs.get_xattr(m, upper, Name::Opaque, &mut []) {
            Err(err) if err.is(EIO) => Err(err),
            _ => Ok(()),
        }
    })
}

impl Super {
    /// How what this overlay did is synced.
    fn own_sync(&self) -> OwnSync {
        if self.config.syncs_own() {
            self.upper_fs.own_sync
        } else {
            OwnSync::Unknown
        }
    }

    /// Takes account of a sync of so many files, or of all of the upper file system.
    fn note_sync(&self, sb: &SuperBlock<Rovl>, done: Result, files: Option<u64>, start: Start) {
        let ns = start.ns();
        self.stats.sync.note(ns);
        trace::sync(sb.dev(), done, files.is_none(), files.unwrap_or(0), ns);
    }

    /// The list of files, if it is of any use, and the upper layer.
    fn listing(&self) -> Option<(&Files, UpperMount<'_>)> {
        // Where layers change it tells, too, which files may be mapped.
        let syncs = self.config.should_sync() && matches!(self.own_sync(), OwnSync::Files { .. });
        if !syncs && !self.config.live {
            return None;
        }
        Some((&self.unwritten, self.mounts.upper_mount()?))
    }
}

/// Lists the upper file of `inode`, which is open for writing: so is one whose last change of data has
/// not been complete when this is called.
///
/// A file without a name is listed when it gets one.
pub(crate) fn note_file(inode: &Inode<Rovl>) {
    note(inode, None);
}

/// Lists the upper file of `inode`, which had no name so far.
pub(crate) fn note_named(inode: &Inode<Rovl>) {
    // Errors of all that was written to it.
    note(inode, Some(WritebackErrors::NONE));
}

#[inline]
fn note(inode: &Inode<Rovl>, errors: Option<WritebackErrors>) {
    let Some((files, mount)) = inode.ofs().listing() else {
        return;
    };
    let Some(upper) = inode.upper_inode() else {
        return;
    };
    if !upper.is_reg() || upper.nlink() == 0 {
        return;
    }
    if let Err(err) = files.note(mount.mount(), upper, errors) {
        inode.sb().note_writeback_error(err);
    }
}

/// Lists the upper file of `inode` if data of it is dirty: of a copy that was not synced.
pub(crate) fn note_copied(inode: &Inode<Rovl>) {
    if inode
        .upper_inode()
        .is_some_and(|upper| upper.has_unwritten_data())
    {
        note_file(inode);
    }
}

/// Takes the upper file of `inode` off the list if its last name is gone: its space is free as soon as
/// nobody has it open.
pub(crate) fn forget_removed(inode: &Inode<Rovl>) {
    if let Some(upper) = inode.upper_inode() {
        if upper.nlink() == 0 {
            inode.ofs().unwritten.forget(upper);
        }
    }
}
