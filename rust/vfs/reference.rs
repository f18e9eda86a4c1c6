// SPDX-License-Identifier: GPL-2.0

//! References on objects that go with their file system.

use core::{
    marker::PhantomData,
    mem::ManuallyDrop,
    ops::Deref,
    ptr::NonNull, //
};
use kernel::sync::aref::AlwaysRefCounted;

/// What has a count of references that keeps it, but does not keep its file system mounted. It can
/// neither be named nor implemented outside of the crate.
///
/// # Safety
///
/// [`inc_ref`](Self::inc_ref) keeps the object, as long as its file system is mounted, until the
/// matching [`dec_ref`](Self::dec_ref).
pub unsafe trait Counted {
    /// Takes one more reference.
    fn inc_ref(&self);

    /// Puts a reference.
    ///
    /// # Safety
    ///
    /// The caller must own the reference, and the file system of the object must be mounted.
    unsafe fn dec_ref(obj: NonNull<Self>);
}

// SAFETY: Such an object is kept by its count alone.
unsafe impl<T: AlwaysRefCounted> Counted for T {
    #[inline]
    fn inc_ref(&self) {
        AlwaysRefCounted::inc_ref(self);
    }

    #[inline]
    unsafe fn dec_ref(obj: NonNull<Self>) {
        // SAFETY: By the safety requirements.
        unsafe { <T as AlwaysRefCounted>::dec_ref(obj) };
    }
}

/// A reference (`dget()`, `ihold()`) on a dentry or an inode of a file system that stays mounted for
/// `'a`.
///
/// The kernel crate's `ARef` may be kept for ever, in a `static` for one. In C that is wrong for these
/// objects: neither a dentry nor an inode keeps its super block, and an unmount that finds one in use
/// complains and goes on. So a reference ends before what keeps the file system mounted: the object
/// that an operation was called for, or a [`Mount`](crate::mount::Mount) of a layer.
///
/// What is to be kept longer is a [`Path`](crate::path::Path), which keeps the mount as well, or is
/// given to an inode, which ends before the mounts of its super block.
///
/// # Invariants
///
/// `ptr` is an object on which this one owns a reference, and whose file system is mounted for `'a`.
pub struct Ref<'a, T: Counted> {
    ptr: NonNull<T>,
    _mounted: PhantomData<&'a ()>,
    _refers: PhantomData<T>,
}

// SAFETY: As for `&T`, and a reference may be put in any task if `T` may be sent to it.
unsafe impl<T: Counted + Send + Sync> Send for Ref<'_, T> {}
// SAFETY: As above; a shared reference can be cloned.
unsafe impl<T: Counted + Send + Sync> Sync for Ref<'_, T> {}

impl<T: Counted> Ref<'_, T> {
    /// Takes over a reference.
    ///
    /// # Safety
    ///
    /// The type invariant must hold for the lifetime that the caller chooses.
    #[inline]
    pub unsafe fn from_raw(ptr: NonNull<T>) -> Self {
        // INVARIANT: By the safety requirements.
        Self {
            ptr,
            _mounted: PhantomData,
            _refers: PhantomData,
        }
    }

    /// Gives the reference up to the caller.
    #[inline]
    pub fn into_raw(this: Self) -> NonNull<T> {
        ManuallyDrop::new(this).ptr
    }
}

impl<T: Counted> Clone for Ref<'_, T> {
    #[inline]
    fn clone(&self) -> Self {
        self.inc_ref();
        // SAFETY: Taken just now; mounted by the type invariant.
        unsafe { Self::from_raw(self.ptr) }
    }
}

impl<T: Counted> Deref for Ref<'_, T> {
    type Target = T;

    #[inline]
    fn deref(&self) -> &T {
        // SAFETY: By the type invariant.
        unsafe { self.ptr.as_ref() }
    }
}

impl<'a, T: Counted> From<&'a T> for Ref<'a, T> {
    #[inline]
    fn from(object: &'a T) -> Self {
        object.inc_ref();
        // SAFETY: Taken just now. What is borrowed for `'a` is there as long, and so is its file
        // system.
        unsafe { Self::from_raw(NonNull::from(object)) }
    }
}

impl<T: Counted> Drop for Ref<'_, T> {
    #[inline]
    fn drop(&mut self) {
        // SAFETY: By the type invariant; lifetimes end after what is dropped in them.
        unsafe { T::dec_ref(self.ptr) };
    }
}
