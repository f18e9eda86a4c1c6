// SPDX-License-Identifier: GPL-2.0

//! The number of links of an indexed file: those of the upper inode, without that in the index, and
//! those lower names that are not covered.
//!
//! It is stored with the upper inode, as the difference to the number of links of that inode or of
//! the lower one. Before a copy up it is told relative to the lower inode, because that changes the
//! upper one only. Before an overlay name comes or goes it is told relative to the upper inode, which
//! changes with it. So it is right whether the change happens or not, and after a crash. A lower name
//! is copied up before it is covered, which makes it an upper one.

use crate::{
    identity::index::name_of,
    listing::names::Names,
    object::{
        entry::{
            DentryExt,
            DentryFlag,
            Flag,
            InodeExt, //
        },
        log,
        reason,
        super_data::Super, //
    },
    observe::trace::Why,
    sync,
    upper::{
        cleanup,
        copy_up::copy_up,
        Upper, //
    },
    Rovl, //
};
use kernel::prelude::*;
use ondisk::nlink::Base;
use stacking::{
    cred::AsMounter,
    prelude::*, //
};
use vfs::{
    dentry::Dentry,
    inode::Locked, //
};

/// Runs `change`, which adds or removes the name `dentry` or another one of its `inode`, in the upper
/// layer and in the number of links of the inode. Copy up, which makes links too, is kept out.
///
/// `why` is told if it is copied up for that. The caller holds no write access to the upper layer.
pub(crate) fn change_links<R>(
    dentry: &Dentry<Rovl>,
    inode: &Locked<'_, Rovl>,
    why: Why,
    change: impl FnOnce(&Upper<'_>) -> Result<R>,
) -> Result<R> {
    let ofs = dentry.sb().data();
    if ofs.needs_index(inode) && !dentry.has(DentryFlag::UpperAlias) {
        copy_up(dentry, why)?;
    }
    let _lock = inode.lock_mutex_interruptible()?;
    let result = {
        let write = &ofs.upper_mount()?.want_write()?;
        ofs.as_mounter(|m| {
            let upper = Upper { ofs, m, write };
            if !inode.is_dir() && inode.data().test(Flag::Index) {
                upper.store_nlink(inode, Base::Upper)?;
            }
            Ok::<_, Error>(change(&upper))
        })?
    };
    if inode.data().test(Flag::Index) && inode.nlink() == 0 {
        if let Err(err) = ofs.as_mounter(|m| remove_entry(m, ofs, inode)) {
            log::warn_dentry(c"cleanup index failed", dentry, err);
        }
    }
    sync::forget_removed(inode);
    result
}

/// Removes the entry of `inode`, whose last name is gone. With NFS export a whiteout stays in its
/// place, so that no file handle leads to it any more.
///
/// The caller holds the inode's mutex, and no write access to the upper layer.
fn remove_entry(m: &AsMounter, ofs: &Super, inode: &Locked<'_, Rovl>) -> Result {
    let dir = ofs.index_dir().ok_or(reason::NO_INDEX)?;
    let lower = inode.lower().first().ok_or(reason::NO_LAYERS)?;
    let name = name_of(m, ofs, lower.dentry())?;
    let write = &ofs.upper_mount()?.want_write()?;
    let upper = Upper { ofs, m, write };
    let real = inode.upper_inode().ok_or(reason::NOT_IN_UPPER)?;
    if !real.is_dir() && real.nlink() != 1 {
        // A lower name was added meanwhile, behind our back.
        log::warn(c"cleanup linked index");
        inode.set_nlink(real.nlink().saturating_sub(1));
        return upper.store_nlink(inode, Base::Upper);
    }
    let entry = upper.lookup(dir, &name)?;
    if ofs.config.index_all() {
        upper.replace_by_whiteout(dir, &entry, &Names::new())
    } else {
        cleanup::remove(m, write, dir, &entry)
    }
}
