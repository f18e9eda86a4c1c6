// SPDX-License-Identifier: GPL-2.0

//! Looking up names.
//!
//! C header: [`include/linux/namei.h`](srctree/include/linux/namei.h)

mod dirop;
mod own;

pub use dirop::{
    Creating,
    Removing,
    RenameFlag,
    RenameFlags,
    Renaming,
    Target, //
};

use crate::{
    bindings,
    cred::AsMounter,
    dentry::{
        Dentry,
        Stable, //
    },
    inode::Inode,
    path::LayerPath,
    FileSystem,
    Layer, //
};
use core::ops::Deref;
use kernel::{
    error::from_err_ptr,
    prelude::*,
    sync::aref::ARef, //
};

/// A name as the functions of C take it. The hash is filled in by them.
///
/// Returns `ENAMETOOLONG` for one that cannot be a name.
pub(crate) fn qstr(name: &[u8]) -> Result<bindings::qstr> {
    let len = u32::try_from(name.len()).map_err(|_| ENAMETOOLONG)?;
    let hash_len = bindings::qstr__bindgen_ty_1__bindgen_ty_1 { hash: 0, len };
    Ok(bindings::qstr {
        name: name.as_ptr(),
        __bindgen_anon_1: bindings::qstr__bindgen_ty_1 {
            __bindgen_anon_1: hash_len,
        },
    })
}

/// Whether names can be looked up in `dir`; `ENOTDIR` or `ENOENT` if not.
fn check_dir(dir: &Dentry<Layer>) -> Result {
    if dir.can_lookup() {
        Ok(())
    } else if dir.is_negative() {
        Err(ENOENT)
    } else {
        Err(ENOTDIR)
    }
}

/// A dentry of `F` in lookup.
pub struct InLookup<'a, F>(Stable<'a, F>);

impl<'a, F> Deref for InLookup<'a, F> {
    type Target = Stable<'a, F>;

    fn deref(&self) -> &Stable<'a, F> {
        &self.0
    }
}

impl<'a, F: FileSystem> InLookup<'a, F> {
    /// Makes one from a raw pointer.
    ///
    /// # Safety
    ///
    /// `dentry` must be a dentry of `F` in lookup for `'a`.
    pub(crate) unsafe fn from_raw(dentry: *mut bindings::dentry) -> Self {
        // SAFETY: By the safety requirements.
        Self(unsafe { Stable::from_raw(dentry) })
    }

    /// Ends the lookup with an inode, or with the name being free (`d_splice_alias()`).
    ///
    /// Returns an alias that is to be used instead, if any. `EXDEV` for an inode of another mount.
    pub fn splice(self, inode: Option<ARef<Inode<F>>>) -> Result<Option<ARef<Dentry<F>>>> {
        if let Some(inode) = &inode {
            if !core::ptr::eq(inode.sb(), self.sb()) {
                return Err(EXDEV);
            }
        }
        let raw = match inode {
            Some(inode) => ARef::into_raw(inode).as_ptr().cast(),
            None => core::ptr::null_mut(),
        };
        // SAFETY: The dentry is in lookup; the reference on the inode is passed on.
        let alias = from_err_ptr(unsafe { bindings::d_splice_alias(raw, self.as_raw()) })?;
        // SAFETY: Null, or a new reference to a dentry of the same file system.
        Ok((!alias.is_null()).then(|| unsafe { Dentry::from_raw_owned(alias) }))
    }
}

impl LayerPath<'_> {
    /// Looks `name` up in this directory of a layer, with the mounter's permission to search it
    /// (`lookup_one_unlocked()`). The result may be negative.
    pub fn lookup(&self, _as_mounter: &AsMounter, name: &[u8]) -> Result<ARef<Dentry<Layer>>> {
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
    ) -> Result<Option<ARef<Dentry<Layer>>>> {
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
        _as_mounter: &AsMounter,
        name: &[u8],
    ) -> Result<ARef<Dentry<Layer>>> {
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

#[cfg(rovl_kunit)]
#[kernel::macros::kunit_tests(vfs_namei)]
mod tests {
    use super::*;

    #[test]
    fn a_name_keeps_its_bytes_and_length() -> Result {
        let name = b"a\xffb";
        let qstr = qstr(name)?;
        assert!(core::ptr::eq(qstr.name, name.as_ptr()));
        // SAFETY: Written by `qstr()`.
        assert_eq!(unsafe { qstr.__bindgen_anon_1.__bindgen_anon_1 }.len, 3);
        Ok(())
    }
}
