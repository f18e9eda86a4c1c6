// SPDX-License-Identifier: GPL-2.0

//! The number of links of an indexed file: those of the upper inode, without that in the index, and
//! those lower names that are not covered.
//!
//! It is stored with the upper inode, as the difference to the number of links of that inode or of
//! the lower one. Before a copy up it is told relative to the lower inode, because that changes the
//! upper one only. Before an overlay name comes or goes it is told relative to the upper inode, which
//! changes with it. So it is right whether the change happens or not, and after a crash. A lower name
//! is copied up before it is covered, which makes it an upper one.

use super::name_of;
use crate::{
    cleanup,
    copy_up::copy_up,
    entry::{
        DentryExt,
        DentryFlag,
        Flag,
        InodeExt, //
    },
    readdir::Names,
    super_data::Super,
    upper::Upper,
    Rovl, //
};
use kernel::prelude::*;
use ondisk::{
    nlink::{
        self,
        Base,
        Nlink, //
    },
    xattr::Name, //
};
use vfs::{
    cred::AsMounter,
    dentry::Dentry,
    inode::Inode,
    log,
    Layer, //
};

/// An upper object and its origin.
pub(crate) struct Links<'a> {
    pub(crate) lower: &'a Dentry<Layer>,
    pub(crate) upper: &'a Dentry<Layer>,
}

impl Links<'_> {
    /// The number of links of the union, or `fallback` where it is not known, or not stored.
    ///
    /// A lower file with one name only is not indexed, but for NFS export: what was found in the
    /// index (`indexed`) has the number, whatever the lower one is now.
    pub(crate) fn of_union(&self, m: &AsMounter, ofs: &Super, indexed: bool, fallback: u32) -> u32 {
        if !indexed && self.lower.inode().is_some_and(|lower| lower.nlink() == 1) {
            return fallback;
        }
        match self.read(m, ofs) {
            Ok(nlink) => nlink,
            Err(err) => {
                log::warn_dentry(c"failed to get index nlink", self.upper, err);
                fallback
            }
        }
    }

    fn read(&self, m: &AsMounter, ofs: &Super) -> Result<u32> {
        let mut value = [0; nlink::MAX_LEN];
        let path = ofs.upper_path(self.upper)?;
        let len = ofs.get_xattr(m, path, Name::Nlink, &mut value)?;
        let stored = Nlink::parse(value.get(..len).unwrap_or_default());
        let stored = stored.map_err(crate::fault::to_error)?;
        let base = match stored.base {
            Base::Upper => self.upper,
            Base::Lower => self.lower,
        };
        stored.apply(base.inode().ok_or(EIO)?.nlink()).ok_or(EINVAL)
    }
}

impl Upper<'_> {
    /// Stores the number of links of `inode`, which is in the upper layer, relative to that of one of
    /// its real inodes. The caller holds the inode's own lock.
    pub(crate) fn store_nlink(&self, inode: &Inode<Rovl>, base: Base) -> Result {
        self.store_nlink_in(inode.upper().ok_or(EIO)?, inode, base)
    }

    /// The same with `upper`, which may not be that of `inode` yet.
    pub(crate) fn store_nlink_in(
        &self,
        upper: &Dentry<Layer>,
        inode: &Inode<Rovl>,
        base: Base,
    ) -> Result {
        let real = match base {
            Base::Upper => upper.inode(),
            Base::Lower => inode.lower_inode(),
        };
        let nlink = Nlink::new(base, inode.nlink(), real.ok_or(EIO)?.nlink());
        self.set_xattr(upper, Name::Nlink, &nlink.encode())
    }
}

/// Runs `change`, which adds or removes the name `dentry` or another one of its inode, in the upper
/// layer and in the number of links of the inode. Copy up, which makes links too, is kept out.
///
/// The caller holds no write access to the upper layer, and `i_rwsem` of the inode.
pub(crate) fn change_links<R>(
    dentry: &Dentry<Rovl>,
    change: impl FnOnce(&Upper<'_>) -> Result<R>,
) -> Result<R> {
    let ofs = DentryExt::ofs(dentry);
    let inode = dentry.positive()?;
    if ofs.needs_index(inode) && !dentry.has(DentryFlag::UpperAlias) {
        copy_up(dentry)?;
    }
    let _lock = inode.lock_interruptible()?;
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
    result
}

/// Removes the entry of `inode`, whose last name is gone. With NFS export a whiteout stays in its
/// place, so that no file handle leads to it any more.
///
/// The caller holds the inode's own lock, and no write access to the upper layer.
fn remove_entry(m: &AsMounter, ofs: &Super, inode: &Inode<Rovl>) -> Result {
    let dir = ofs.index_dir().ok_or(EIO)?;
    let lower = inode.lower().first().ok_or(EIO)?;
    let name = name_of(m, ofs, lower.dentry())?;
    let write = &ofs.upper_mount()?.want_write()?;
    let upper = Upper { ofs, m, write };
    let real = inode.upper_inode().ok_or(EIO)?;
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
