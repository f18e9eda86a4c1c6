// SPDX-License-Identifier: GPL-2.0

//! Paths in layers: a mount of the layer and a dentry.
//!
//! C header: [`include/linux/path.h`](srctree/include/linux/path.h)

use crate::cred::AsMounter;
use core::ops::Deref;
use kernel::{
    fs::File,
    prelude::*,
    str::CStr,
    sync::aref::ARef, //
};
use vfs::{
    bindings,
    dentry::Dentry,
    errno::{
        from_err_ptr,
        to_result, //
    },
    inode::{
        mask,
        Inode, //
    },
    mount::Mount,
    path::Path,
    Foreign,
    Ref, //
};

/// What a path is as one in a layer.
pub trait PathExt {
    /// As a path in a layer.
    fn as_layer_path(&self) -> LayerPath<'_>;
}

impl PathExt for Path {
    #[inline]
    fn as_layer_path(&self) -> LayerPath<'_> {
        // INVARIANT: A path is that of a dentry in its mount.
        LayerPath(Parts {
            mount: self.mount(),
            dentry: self.dentry(),
        })
    }
}

/// A dentry of a layer with the layer's private mount.
///
/// # Invariants
///
/// Both are of one file system, so that what is opened by such a path keeps that one mounted.
#[derive(Clone, Copy)]
pub struct LayerPath<'a>(Parts<'a>);

/// What a [`LayerPath`] consists of.
#[derive(Clone, Copy)]
pub struct Parts<'a> {
    /// The private mount of the layer.
    pub mount: &'a Mount,
    /// The dentry.
    pub dentry: &'a Dentry<Foreign>,
}

impl<'a> Deref for LayerPath<'a> {
    type Target = Parts<'a>;

    #[inline]
    fn deref(&self) -> &Parts<'a> {
        &self.0
    }
}

impl<'a> LayerPath<'a> {
    /// `dentry` as it is seen through `mount`. Returns `EXDEV` for one of another file system.
    #[inline]
    pub fn new(mount: &'a Mount, dentry: &'a Dentry<Foreign>) -> Result<Self> {
        if !core::ptr::eq(mount.sb(), dentry.layer_sb()) {
            return Err(EXDEV);
        }
        // INVARIANT: Just checked.
        Ok(Self(Parts { mount, dentry }))
    }
}

impl<'a> LayerPath<'a> {
    /// Looks `name`, which may start with slashes, up from this directory for the mounter
    /// (`vfs_path_lookup()`). What is found is positive.
    ///
    /// Follows no link of any kind (`ELOOP`), no `..` out of the directory and no mount on top of
    /// anything (`EXDEV`).
    pub fn lookup_beneath(
        &self,
        as_mounter: &AsMounter,
        name: &CStr,
    ) -> Result<Ref<'a, Dentry<Foreign>>> {
        as_mounter.check()?;
        let mut path = bindings::path::default();
        // SAFETY: The mount and the dentry are valid, the name is NUL-terminated; the path is written
        // on success.
        to_result(unsafe {
            bindings::vfs_path_lookup(
                self.dentry.as_raw(),
                self.mount.as_raw(),
                name.as_char_ptr(),
                bindings::rvfs_const_RVFS_LOOKUP_IN_LAYER,
                &mut path,
            )
        })?;
        // SAFETY: `vfs_path_lookup()` returns references.
        let path = unsafe { Path::from_raw(path) };
        self.mount.adopt(Ref::from(path.dentry()))
    }
}

impl LayerPath<'_> {
    /// Takes references on both, for what is to be kept.
    pub fn to_path(&self) -> Path {
        let path = self.to_raw();
        // SAFETY: Mount and dentry are valid.
        unsafe { bindings::path_get(&path) };
        // SAFETY: References were taken just now, and both are of one file system.
        unsafe { Path::from_raw(path) }
    }

    /// As C has it, without references: valid as long as `self`.
    #[inline]
    pub(crate) fn to_raw(self) -> bindings::path {
        bindings::path {
            mnt: self.mount.as_raw(),
            dentry: self.dentry.as_raw(),
        }
    }

    /// Checks the mounter's permissions (`inode_permission()`).
    #[inline]
    pub fn permission(&self, _as_mounter: &AsMounter, mask: i32) -> Result {
        let inode = self.dentry.inode().ok_or(ENOENT)?;
        let mask = mask::blocking(mask);
        // SAFETY: Mount and inode are valid.
        to_result(unsafe {
            bindings::inode_permission(self.mount.idmap().as_raw(), inode.as_raw(), mask)
        })
    }

    /// Updates the access time, as the mount's flags and the file system have it.
    pub fn touch_atime(&self) -> bool {
        let Some(inode) = self.dentry.inode() else {
            return false;
        };
        let before = atime(inode);
        // SAFETY: The path is valid and positive.
        unsafe { bindings::touch_atime(&self.to_raw()) };
        atime(inode) != before
    }

    /// Opens it for the mounter, for reading or for writing, checking the mounter's permissions.
    pub fn open(&self, as_mounter: &AsMounter, write: bool) -> Result<ARef<File>> {
        let cred = as_mounter.in_force()?;
        let (mut flags, mask) = if write {
            (bindings::O_WRONLY, bindings::rvfs_const_RVFS_MAY_WRITE)
        } else {
            (bindings::O_RDONLY, bindings::rvfs_const_RVFS_MAY_READ)
        };
        flags |= bindings::O_LARGEFILE;
        // CAST: flag bits.
        self.permission(
            as_mounter,
            (mask | bindings::rvfs_const_RVFS_MAY_OPEN) as i32,
        )?;
        if self.owner_or_capable(as_mounter) {
            flags |= bindings::O_NOATIME;
        }
        let path = self.to_raw();
        // SAFETY: The path is valid, and the current credentials are the mounter's.
        let file = from_err_ptr(unsafe { bindings::dentry_open(&path, flags as c_int, cred) })?;
        // SAFETY: `dentry_open()` returns a new reference; the file has no position lock in use.
        Ok(unsafe { ARef::from_raw(core::ptr::NonNull::new_unchecked(file.cast())) })
    }

    /// Whether the mounter owns the file or may act as its owner.
    #[inline]
    pub fn owner_or_capable(&self, _as_mounter: &AsMounter) -> bool {
        self.dentry.inode().is_some_and(|inode| {
            // SAFETY: Mount and inode are valid.
            unsafe { bindings::inode_owner_or_capable(self.mount.idmap().as_raw(), inode.as_raw()) }
        })
    }
}

/// The access time, in seconds and nanoseconds.
fn atime(inode: &Inode<Foreign>) -> (i64, u32) {
    let inode = inode.as_raw();
    // SAFETY: Valid by the type invariant; a racy read of an integer, as in C.
    let seconds = unsafe { (&raw const (*inode).i_atime_sec).read_volatile() };
    // SAFETY: As above.
    (seconds, unsafe {
        (&raw const (*inode).i_atime_nsec).read_volatile()
    })
}
