// SPDX-License-Identifier: GPL-2.0

//! Looking up names.
//!
//! C header: [`include/linux/namei.h`](srctree/include/linux/namei.h)

mod dirop;
mod locked;

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
    dentry::Dentry,
    inode::Inode,
    path::LayerPath,
    FileSystem,
    Foreign,
    Ref, //
};
use core::ops::Deref;
use kernel::{
    error::from_err_ptr,
    prelude::*, //
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

/// A dentry of `F` in lookup, which nobody else uses before its end.
///
/// It is no [`Negative`](crate::dentry::Negative): it gets its inode by [`splice`](Self::splice),
/// after which the dentry may be moved.
///
/// # Invariants
///
/// `0` is in lookup, and so its name and its parent stay, until this object is gone.
pub struct InLookup<'a, F>(&'a Dentry<F>);

impl<F> Deref for InLookup<'_, F> {
    type Target = Dentry<F>;

    fn deref(&self) -> &Dentry<F> {
        self.0
    }
}

impl<'a, F: FileSystem> InLookup<'a, F> {
    /// Makes one from a raw pointer.
    ///
    /// # Safety
    ///
    /// `dentry` must be a dentry of `F` in lookup for `'a`.
    pub(crate) unsafe fn from_raw(dentry: *mut bindings::dentry) -> Self {
        // INVARIANT: By the safety requirements.
        // SAFETY: By the safety requirements.
        Self(unsafe { Dentry::from_raw(dentry) })
    }

    /// The name, without a terminating NUL.
    #[inline]
    pub fn name(&self) -> &[u8] {
        // SAFETY: By the type invariant it neither changes nor is freed as long as `self`.
        unsafe { self.0.name_bytes() }
    }

    /// Ends the lookup with an inode, or as a negative dentry (`d_splice_alias()`). A directory that has
    /// a dentry already is moved here, and the VFS goes on with that one.
    ///
    /// `EXDEV` for an inode of another mount.
    pub fn splice(self, inode: Option<Ref<'_, Inode<F>>>) -> Result<Spliced<'a, F>> {
        if let Some(inode) = &inode {
            if !core::ptr::eq(inode.sb(), self.sb()) {
                return Err(EXDEV);
            }
        }
        let raw = match inode {
            Some(inode) => Ref::into_raw(inode).as_ptr().cast(),
            None => core::ptr::null_mut(),
        };
        // SAFETY: The dentry is in lookup; the reference on the inode is passed on.
        let alias = from_err_ptr(unsafe { bindings::d_splice_alias(raw, self.as_raw()) })?;
        // SAFETY: Null, or a new reference to a dentry of the same file system.
        let alias = (!alias.is_null()).then(|| unsafe { Dentry::from_raw_owned(alias) });
        Ok(Spliced { alias })
    }
}

/// The end of a lookup, which [`InLookup::splice`] makes.
pub struct Spliced<'a, F> {
    /// The dentry that the VFS goes on with, if it is another one.
    alias: Option<Ref<'a, Dentry<F>>>,
}

impl<F> Spliced<'_, F> {
    /// What `->lookup` returns: null, or the alias with its reference.
    pub(crate) fn into_raw(self) -> *mut bindings::dentry {
        self.alias.map_or(core::ptr::null_mut(), |alias| {
            Ref::into_raw(alias).as_ptr().cast()
        })
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
