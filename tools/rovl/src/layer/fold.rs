// SPDX-License-Identifier: GPL-2.0

//! Directories that fold the case of names (`chattr +F`): their file system finds one name under others.

use super::{Entry, Result};
use rustix::fd::OwnedFd;
use rustix::fs::{ioctl_getflags, ioctl_setflags, openat, IFlags, Mode, OFlags};

/// `FS_CASEFOLD_FL`
const CASEFOLD: IFlags = IFlags::from_bits_retain(0x4000_0000);

fn open(dir: &Entry) -> rustix::io::Result<OwnedFd> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    openat(dir, ".", flags, Mode::empty())
}

impl Entry {
    /// Whether it is such a directory. A file system that cannot be asked has none.
    pub fn folds_case(&self) -> bool {
        let flags = open(self).and_then(ioctl_getflags);
        flags.is_ok_and(|flags| flags.contains(CASEFOLD))
    }

    /// Has an empty directory be one, and all that are made in it, or not.
    pub fn fold_case(&self, fold: bool) -> Result<()> {
        if self.folds_case() == fold {
            return Ok(());
        }
        let set = || {
            let dir = open(self)?;
            let mut flags = ioctl_getflags(&dir)?;
            flags.set(CASEFOLD, fold);
            ioctl_setflags(&dir, flags)
        };
        let what = if fold {
            "have it fold the case of names, as the layers do"
        } else {
            "have it tell the case of names, as the layers do"
        };
        set().map_err(|errno| self.error(what, errno))
    }
}
