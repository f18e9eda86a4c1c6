// SPDX-License-Identifier: GPL-2.0

//! Looking up names in layers.
//!
//! C header: [`include/linux/namei.h`](srctree/include/linux/namei.h)

mod dirop;

pub use dirop::{
    Creating,
    Removing,
    Renaming,
    Target, //
};

use crate::{
    cred::AsMounter,
    path::LayerPath, //
};
use kernel::prelude::*;
use vfs::{
    bindings,
    dentry::Dentry,
    errno::from_err_ptr,
    namei::qstr,
    Foreign,
    Ref, //
};

/// A name of a layer.
pub trait ForeignDentry {
    /// Whether it is of a kind that a stacking file system cannot use: an automount point, or of a
    /// file system with its own rules for names.
    fn is_weird(&self) -> bool;
}

impl ForeignDentry for Dentry<Foreign> {
    #[inline]
    fn is_weird(&self) -> bool {
        // SAFETY: Valid by the type invariant.
        !self.is_plain() && unsafe { bindings::rvfs_d_weird(self.as_raw()) }
    }
}

/// `mode` of a regular file. Functions of C that make one without a name take any type, and file
/// systems make what is none.
pub(crate) fn regular(mode: u16) -> u16 {
    // CAST: a type, in the upper bits of 16.
    (mode & 0o7777) | bindings::S_IFREG as u16
}

/// Whether names can be looked up in `dir`; `ENOTDIR` or `ENOENT` if not.
fn check_dir(dir: &Dentry<Foreign>) -> Result {
    if dir.can_lookup() {
        Ok(())
    } else if dir.is_negative() {
        Err(ENOENT)
    } else {
        Err(ENOTDIR)
    }
}

impl<'a> LayerPath<'a> {
    /// Looks `name` up in this directory of a layer, with the mounter's permission to search it
    /// (`lookup_one_unlocked()`). The result may be negative.
    pub fn lookup(&self, as_mounter: &AsMounter, name: &[u8]) -> Result<Ref<'a, Dentry<Foreign>>> {
        as_mounter.check()?;
        check_dir(self.dentry)?;
        let mut qstr = qstr(name)?;
        // SAFETY: Mount and directory are valid, the latter is one, and the name is not kept.
        let dentry = from_err_ptr(unsafe {
            bindings::lookup_one_unlocked(
                self.mount.idmap().as_raw(),
                &mut qstr,
                self.dentry.as_raw(),
            )
        })?;
        // SAFETY: A new reference to a dentry of the layer.
        Ok(unsafe { Dentry::from_raw_owned(dentry) })
    }

    /// Looks `name` up in this directory of a layer. Returns `None` where there is nothing.
    ///
    /// A negative dentry that only this lookup made is dropped if `drop_negative`, because the
    /// overlay caches that the name is free in its own dentry.
    pub fn lookup_positive(
        &self,
        as_mounter: &AsMounter,
        name: &[u8],
        drop_negative: bool,
    ) -> Result<Option<Ref<'a, Dentry<Foreign>>>> {
        match self.lookup(as_mounter, name) {
            Ok(dentry) if !dentry.is_negative() => Ok(Some(dentry)),
            Ok(dentry) => {
                if drop_negative {
                    dentry.drop_if_unused_negative();
                }
                Ok(None)
            }
            Err(err) if err == ENOENT || err == ENAMETOOLONG => Ok(None),
            Err(err) => Err(err),
        }
    }

    /// As [`lookup_positive`](Self::lookup_positive), but gives up with `EINTR` at a fatal signal.
    pub fn lookup_positive_killable(
        &self,
        as_mounter: &AsMounter,
        name: &[u8],
    ) -> Result<Ref<'a, Dentry<Foreign>>> {
        as_mounter.check()?;
        check_dir(self.dentry)?;
        let mut qstr = qstr(name)?;
        // SAFETY: Mount and directory are valid, the latter is one, and the name is not kept.
        let dentry = from_err_ptr(unsafe {
            bindings::lookup_one_positive_killable(
                self.mount.idmap().as_raw(),
                &mut qstr,
                self.dentry.as_raw(),
            )
        })?;
        // SAFETY: A new reference to a dentry of the layer.
        Ok(unsafe { Dentry::from_raw_owned(dentry) })
    }
}
