// SPDX-License-Identifier: GPL-2.0

//! Paths: a mount and a dentry.
//!
//! C header: [`include/linux/path.h`](srctree/include/linux/path.h)

use crate::{
    bindings,
    dentry::Dentry,
    errno::to_result,
    mount::Mount,
    FileSystem,
    Foreign,
    Of, //
};
use core::marker::PhantomData;
use kernel::{
    error::from_err_ptr,
    fs::File,
    prelude::*,
    str::CStr, //
};

/// A referenced path of whatever file system, as a mount option names it, or as something that is
/// kept of a layer.
///
/// The mount is referenced, too, and keeps the file system mounted: so it may be kept anywhere.
///
/// # Invariants
///
/// `0` holds a reference on a mount and one on a dentry of it.
pub struct Path(bindings::path);

// SAFETY: Mounts and dentries may be used and put in any task.
unsafe impl Send for Path {}
// SAFETY: A shared reference gives out shared references only.
unsafe impl Sync for Path {}

impl Path {
    /// Takes over references from C.
    ///
    /// # Safety
    ///
    /// The type invariant must hold.
    #[inline]
    pub unsafe fn from_raw(path: bindings::path) -> Self {
        // INVARIANT: By the safety requirements.
        Self(path)
    }

    /// Resolves `name` for the current task, following links (`kern_path()`).
    pub fn lookup(name: &CStr) -> Result<Self> {
        let mut path = bindings::path::default();
        // SAFETY: The name is NUL-terminated; the path is written on success.
        to_result(unsafe {
            bindings::kern_path(
                name.as_char_ptr(),
                bindings::rvfs_const_RVFS_LOOKUP_FOLLOW,
                &mut path,
            )
        })?;
        // INVARIANT: `kern_path()` returns references.
        Ok(Self(path))
    }

    /// The path of an open file.
    pub fn of_file(file: &File) -> Self {
        // SAFETY: `f_path` is constant while the file is open.
        let path = unsafe { (*file.as_ptr()).__bindgen_anon_1.f_path };
        // SAFETY: The file holds references, so more can be taken.
        unsafe { bindings::path_get(&path) };
        // INVARIANT: References were taken just now.
        Self(path)
    }

    /// The raw pointer.
    #[inline]
    pub fn as_raw(&self) -> *const bindings::path {
        &self.0
    }

    /// The dentry.
    pub fn dentry(&self) -> &Dentry<Foreign> {
        // SAFETY: By the type invariant.
        unsafe { Dentry::from_raw(self.0.dentry) }
    }

    /// The mount.
    pub fn mount(&self) -> &Mount {
        // SAFETY: By the type invariant.
        unsafe { Mount::from_raw(self.0.mnt) }
    }

    /// The root of its mount.
    pub fn root_of_mount(&self) -> Self {
        let path = bindings::path {
            mnt: self.mount().as_raw(),
            dentry: self.mount().root().as_raw(),
        };
        // SAFETY: A mount keeps its root, so both are valid.
        unsafe { bindings::path_get(&path) };
        // INVARIANT: References were taken just now.
        Self(path)
    }

    /// Whether the mount is read-only (`__mnt_is_readonly()`).
    pub fn is_readonly(&self) -> bool {
        // SAFETY: By the type invariant.
        unsafe { bindings::__mnt_is_readonly(self.0.mnt) }
    }

    /// The first path below, in the cache, on which something is mounted on this mount, and how many
    /// there are. A mount keeps its mount point and all parents of that in the cache; other namespaces
    /// have mounts of their own.
    ///
    /// Looks here and into `dirs` directories below, nearest first, and takes off those that it looked
    /// into; in each at the `names` names that came last.
    pub fn mounted_below(&self, names: u32, dirs: &mut u32) -> Option<(Self, u32)> {
        let mut count = 0;
        // SAFETY: By the type invariant.
        let dentry = unsafe { bindings::rvfs_find_mountpoint(&self.0, names, dirs, &mut count) };
        if dentry.is_null() {
            return None;
        }
        // SAFETY: By the type invariant there is a reference, so another one can be taken.
        let mnt = unsafe { bindings::mntget(self.0.mnt) };
        // INVARIANT: A reference on the mount was taken just now, and one on the dentry, which is of
        // the same file system, by the function above.
        Some((Self(bindings::path { mnt, dentry }), count))
    }

    /// Runs `f` with the path as text, as the current task sees it (`d_path()`).
    pub fn with_text<R>(&self, f: impl FnOnce(&CStr) -> Result<R>) -> Result<R> {
        let mut buffer = KVec::<u8>::with_capacity(PATH_MAX, GFP_KERNEL)?;
        // SAFETY: The path is valid; the buffer has room for that many bytes.
        let text = from_err_ptr(unsafe {
            bindings::d_path(
                &self.0,
                buffer.spare_capacity_mut().as_mut_ptr().cast(),
                PATH_MAX as c_int,
            )
        })?;
        // SAFETY: `d_path()` returns a NUL-terminated string within the buffer.
        f(unsafe { CStr::from_char_ptr(text) })
    }
}

/// The size of a buffer for a path, with its NUL.
pub const PATH_MAX: usize = bindings::PATH_MAX as usize;

impl Drop for Path {
    fn drop(&mut self) {
        // SAFETY: By the type invariant the references are ours.
        unsafe { bindings::path_put(&self.0) };
    }
}

/// A path of the file system `F` itself, as the VFS passes it.
///
/// # Invariants
///
/// `raw` is valid for `'a`, and its dentry is one of `F`.
pub struct PathRef<'a, F> {
    raw: *const bindings::path,
    _life: PhantomData<&'a ()>,
    _of: Of<F>,
}

impl<F> Clone for PathRef<'_, F> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<F> Copy for PathRef<'_, F> {}

impl<'a, F: FileSystem> PathRef<'a, F> {
    /// Makes one from a raw pointer.
    ///
    /// # Safety
    ///
    /// The type invariant must hold.
    #[inline]
    pub unsafe fn from_raw(raw: *const bindings::path) -> Self {
        // INVARIANT: By the safety requirements.
        Self {
            raw,
            _life: PhantomData,
            _of: PhantomData,
        }
    }

    /// The raw pointer.
    #[inline]
    pub fn as_raw(&self) -> *const bindings::path {
        self.raw
    }

    /// The dentry.
    pub fn dentry(&self) -> &'a Dentry<F> {
        // SAFETY: By the type invariant.
        unsafe { Dentry::from_raw((*self.raw).dentry) }
    }

    /// Updates the access time, as the mount's flags and the file system have it.
    pub fn touch_atime(&self) {
        // SAFETY: By the type invariant.
        unsafe { bindings::touch_atime(self.raw) };
    }

    /// The mount of the file system.
    pub fn mount(&self) -> &'a Mount {
        // SAFETY: By the type invariant.
        unsafe { Mount::from_raw((*self.raw).mnt) }
    }
}
