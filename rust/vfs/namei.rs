// SPDX-License-Identifier: GPL-2.0

//! Looking up names.
//!
//! C header: [`include/linux/namei.h`](srctree/include/linux/namei.h)

mod locked;
mod rename_flags;

pub use rename_flags::{
    RenameFlag,
    RenameFlags, //
};

use crate::{
    bindings,
    dentry::Dentry,
    errno::from_err_ptr,
    inode::Inode,
    path::PATH_MAX,
    FileSystem,
    Ref, //
};
use core::ops::Deref;
use kernel::prelude::*;

/// A name as the functions of C take it. The hash is filled in by them.
///
/// Returns `ENAMETOOLONG` for one that cannot be a name, since it could not be in a path.
#[doc(hidden)]
pub fn qstr(name: &[u8]) -> Result<bindings::qstr> {
    if name.len() >= PATH_MAX {
        return Err(ENAMETOOLONG);
    }
    let len = u32::try_from(name.len()).map_err(|_| ENAMETOOLONG)?;
    let hash_len = bindings::qstr__bindgen_ty_1__bindgen_ty_1 { hash: 0, len };
    Ok(bindings::qstr {
        name: name.as_ptr(),
        __bindgen_anon_1: bindings::qstr__bindgen_ty_1 {
            __bindgen_anon_1: hash_len,
        },
    })
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
    #[inline]
    pub unsafe fn from_raw(dentry: *mut bindings::dentry) -> Self {
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
    /// The dentry that the VFS goes on with, if it is another one than was looked up.
    #[inline]
    pub fn alias(&self) -> Option<&Dentry<F>> {
        self.alias.as_deref()
    }

    /// What `->lookup` returns: null, or the alias with its reference.
    #[inline]
    pub fn into_raw(self) -> *mut bindings::dentry {
        self.alias.map_or(core::ptr::null_mut(), |alias| {
            Ref::into_raw(alias).as_ptr().cast()
        })
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
