// SPDX-License-Identifier: GPL-2.0

//! What an operation may rely on of a dentry that it gets.
//!
//! A `&Dentry` alone may be renamed, and turn positive, at any time. What the VFS has locked and
//! checked before it calls an operation is in the type that the operation gets.
//!
//! | type | what the VFS guarantees | operations |
//! |---|---|---|
//! | [`Child`] | its directory is locked | `rename` |
//! | [`Negative`] | its directory is locked, it has no inode | `create`, `mkdir`, `link`, ... |
//! | [`Positive`] | its directory is locked, and so is its inode | `unlink`, `rmdir` |
//! | [`LockedDentry`] | its inode is locked | `setattr`, `set_acl`, `link`, ... |
//! | [`Unhashed`] | nobody else can find it | `tmpfile` |
//! | [`InLookup`](crate::namei::InLookup) | it is in lookup, and nobody else uses it | `lookup` |
//!
//! Locked means that `i_rwsem` is held for writing by the task in which the operation runs.

use super::Dentry;
use crate::{
    bindings,
    inode::{
        Fetched,
        Locked, //
    },
    FileSystem, //
};
use core::ops::Deref;
use kernel::prelude::*;

/// A dentry in a directory that is locked: its name and its parent stay.
///
/// # Invariants
///
/// `i_rwsem` of the parent is held for writing for `'a`.
pub struct Child<'a, F>(&'a Dentry<F>);

impl<F> Clone for Child<'_, F> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<F> Copy for Child<'_, F> {}

impl<F> Deref for Child<'_, F> {
    type Target = Dentry<F>;

    #[inline]
    fn deref(&self) -> &Dentry<F> {
        self.0
    }
}

impl<'a, F> Child<'a, F> {
    /// Makes one from a raw pointer.
    ///
    /// # Safety
    ///
    /// As for [`Dentry::from_raw`], and the type invariant must hold.
    #[inline]
    pub unsafe fn from_raw(ptr: *mut bindings::dentry) -> Self {
        // INVARIANT: By the safety requirements.
        // SAFETY: By the safety requirements.
        Self(unsafe { Dentry::from_raw(ptr) })
    }

    /// The dentry itself, with the lifetime of the operation.
    #[inline]
    pub fn dentry(&self) -> &'a Dentry<F> {
        self.0
    }

    /// The name (`d_name`), without a terminating NUL.
    #[inline]
    pub fn name(&self) -> &'a [u8] {
        // SAFETY: By the type invariant the name does not change and is not freed for `'a`.
        unsafe { self.0.name_bytes() }
    }

    /// The directory (`d_parent`).
    #[inline]
    pub fn dir(&self) -> &'a Dentry<F> {
        // SAFETY: By the type invariant the parent does not change.
        unsafe { self.0.stable_parent() }
    }
}

/// A negative dentry in a directory that is locked: a name at which something can be made.
///
/// There is one of a dentry, and what gives it an inode consumes it.
///
/// # Invariants
///
/// The dentry in `0` has no inode, and nothing but this object can give it one.
pub struct Negative<'a, F>(Child<'a, F>);

impl<'a, F> Deref for Negative<'a, F> {
    type Target = Child<'a, F>;

    #[inline]
    fn deref(&self) -> &Child<'a, F> {
        &self.0
    }
}

impl<'a, F: FileSystem> Negative<'a, F> {
    /// Makes one from a raw pointer.
    ///
    /// # Safety
    ///
    /// As for [`Child::from_raw`], and the type invariant must hold.
    #[inline]
    pub unsafe fn from_raw(ptr: *mut bindings::dentry) -> Self {
        // INVARIANT: By the safety requirements.
        // SAFETY: By the safety requirements.
        Self(unsafe { Child::from_raw(ptr) })
    }

    /// Gives it an inode (`d_instantiate()`, `d_instantiate_new()`).
    ///
    /// A new inode is visible to others afterwards, with its name.
    ///
    /// Returns `EEXIST` for a directory that is not new: others may have given it the one name that
    /// it can have. `EXDEV` for an inode of another mount.
    pub fn instantiate<'b>(self, inode: impl Into<Fetched<'b, F>>) -> Result<Child<'a, F>> {
        let inode = inode.into();
        self.check_instantiation(&inode)?;
        // SAFETY: Negative by the type invariant, and checked just now.
        unsafe { self.instantiate_checked(inode) };
        Ok(self.0)
    }

    /// The dentry as one that may have got its inode.
    pub(crate) fn into_child(self) -> Child<'a, F> {
        self.0
    }
}

/// A positive dentry whose inode is locked: an object that is changed.
///
/// # Invariants
///
/// `inode` is that of `dentry`.
pub struct LockedDentry<'a, F> {
    dentry: &'a Dentry<F>,
    inode: Locked<'a, F>,
}

impl<F> Deref for LockedDentry<'_, F> {
    type Target = Dentry<F>;

    #[inline]
    fn deref(&self) -> &Dentry<F> {
        self.dentry
    }
}

impl<'a, F> LockedDentry<'a, F> {
    /// Takes a dentry and its inode, the lock of which is held.
    ///
    /// # Safety
    ///
    /// The type invariant must hold.
    #[inline]
    pub(crate) unsafe fn new(dentry: &'a Dentry<F>, inode: Locked<'a, F>) -> Self {
        // INVARIANT: By the safety requirements.
        Self { dentry, inode }
    }

    /// The inode.
    #[inline]
    pub fn inode(&self) -> &Locked<'a, F> {
        &self.inode
    }
}

/// A positive dentry in a directory that is locked, and so is its inode: a name that is removed.
///
/// # Invariants
///
/// `inode` is that of `child`.
pub struct Positive<'a, F> {
    child: Child<'a, F>,
    inode: Locked<'a, F>,
}

impl<'a, F> Deref for Positive<'a, F> {
    type Target = Child<'a, F>;

    #[inline]
    fn deref(&self) -> &Child<'a, F> {
        &self.child
    }
}

impl<'a, F> Positive<'a, F> {
    /// Takes a dentry and its inode, the lock of which is held.
    ///
    /// # Safety
    ///
    /// The type invariant must hold.
    #[inline]
    pub(crate) unsafe fn new(child: Child<'a, F>, inode: Locked<'a, F>) -> Self {
        // INVARIANT: By the safety requirements.
        Self { child, inode }
    }

    /// The inode.
    #[inline]
    pub fn inode(&self) -> &Locked<'a, F> {
        &self.inode
    }
}

/// A dentry that is not hashed yet, so that nobody but its owner can find it (`d_unhashed()`): its
/// name and its parent stay, without a lock of the directory.
///
/// # Invariants
///
/// Nobody else uses the dentry for `'a`.
pub struct Unhashed<'a, F>(&'a Dentry<F>);

impl<F> Deref for Unhashed<'_, F> {
    type Target = Dentry<F>;

    #[inline]
    fn deref(&self) -> &Dentry<F> {
        self.0
    }
}

impl<'a, F> Unhashed<'a, F> {
    /// Makes one from a raw pointer.
    ///
    /// # Safety
    ///
    /// As for [`Dentry::from_raw`], and the type invariant must hold.
    #[inline]
    pub unsafe fn from_raw(ptr: *mut bindings::dentry) -> Self {
        // INVARIANT: By the safety requirements.
        // SAFETY: By the safety requirements.
        Self(unsafe { Dentry::from_raw(ptr) })
    }

    /// The directory for which it was made (`d_parent`).
    #[inline]
    pub fn dir(&self) -> &'a Dentry<F> {
        // SAFETY: By the type invariant the parent does not change.
        unsafe { self.0.stable_parent() }
    }
}

mod sealed {
    pub trait Sealed {}
}

/// A dentry whose name stays as long as it is borrowed, for functions that take a `struct qstr`.
pub trait StableName<F>: sealed::Sealed {
    /// The dentry.
    fn dentry(&self) -> &Dentry<F>;
}

impl<F> sealed::Sealed for Child<'_, F> {}
impl<F> StableName<F> for Child<'_, F> {
    fn dentry(&self) -> &Dentry<F> {
        self.0
    }
}

impl<F> sealed::Sealed for Negative<'_, F> {}
impl<F> StableName<F> for Negative<'_, F> {
    fn dentry(&self) -> &Dentry<F> {
        self.0 .0
    }
}

impl<F> sealed::Sealed for Unhashed<'_, F> {}
impl<F> StableName<F> for Unhashed<'_, F> {
    fn dentry(&self) -> &Dentry<F> {
        self.0
    }
}

impl<F> Dentry<F> {
    /// The parent, without a reference.
    ///
    /// # Safety
    ///
    /// It must not change for `'a`.
    #[inline]
    unsafe fn stable_parent<'a>(&self) -> &'a Self {
        // SAFETY: By the safety requirements, and a dentry pins its parent.
        unsafe { Dentry::from_raw((*self.as_raw()).d_parent) }
    }
}

impl<F: FileSystem> Dentry<F> {
    /// Whether the dentry may get `inode`: see [`Negative::instantiate`].
    pub(crate) fn check_instantiation(&self, inode: &Fetched<'_, F>) -> Result {
        let (sb, has_name) = match inode {
            Fetched::New(new) => (new.sb(), false),
            Fetched::Existing(inode) => (inode.sb(), inode.is_dir()),
        };
        if has_name {
            return Err(EEXIST);
        }
        if !core::ptr::eq(sb, self.sb()) {
            return Err(EXDEV);
        }
        Ok(())
    }

    /// Gives it its inode.
    ///
    /// # Safety
    ///
    /// The dentry must be negative, and nobody else give it an inode;
    /// [`check_instantiation`](Self::check_instantiation) must have succeeded.
    pub(crate) unsafe fn instantiate_checked(&self, inode: Fetched<'_, F>) {
        match inode {
            Fetched::New(new) if new.is_hashed() => {
                // SAFETY: By the safety requirements; the reference on the inode is passed on, and it
                // is I_NEW for us, to be cleared here.
                unsafe { bindings::d_instantiate_new(self.as_raw(), new.into_raw()) };
            }
            // SAFETY: By the safety requirements; the reference on the inode is passed on.
            other => unsafe {
                bindings::d_instantiate(self.as_raw(), other.into_raw());
            },
        }
    }
}
