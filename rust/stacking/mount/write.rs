// SPDX-License-Identifier: GPL-2.0

//! Write access to the upper layer.

use super::Mount;
use kernel::{
    prelude::*,
    types::NotThreadSafe, //
};
use vfs::{
    bindings,
    dentry::Dentry,
    errno::to_result,
    Foreign, //
};

/// The right to write to a mount over some time (`mnt_get_write_access()`).
///
/// The mount cannot become read-only meanwhile, but its file system can be frozen.
///
/// # Invariants
///
/// The write count of `mount` is raised by one for this object.
pub struct WriteAccess<'a> {
    mount: &'a Mount,
}

/// Write access and protection from freezing.
///
/// Everything that changes a layer asks for it. Only one may be held at a time by a task, and no
/// `i_rwsem` of a lower directory may be taken under it: see the lock order in
/// Documentation/design.rst.
///
/// # Invariants
///
/// Freeze protection of the super block of `mount` is held by this task, and also a write count of
/// the mount: by this object where `counted`, else by the [`WriteAccess`] that it borrows.
pub struct WriteGuard<'a> {
    mount: &'a Mount,
    counted: bool,
    _not_thread_safe: NotThreadSafe,
}

impl<'a> WriteAccess<'a> {
    /// See [`MountExt::get_write_access`](super::MountExt::get_write_access).
    pub(super) fn get(mount: &'a Mount) -> Result<Self> {
        // SAFETY: Valid by the type invariant.
        to_result(unsafe { bindings::mnt_get_write_access(mount.as_raw()) })?;
        // INVARIANT: The count was raised just now.
        Ok(Self { mount })
    }
}

impl WriteAccess<'_> {
    /// Adds freeze protection (`sb_start_write()`). May block while frozen.
    pub fn start_write(&self) -> WriteGuard<'_> {
        // SAFETY: The super block is pinned by the mount.
        unsafe { bindings::rvfs_sb_start_write(self.mount.sb().as_raw()) };
        // INVARIANT: Gained just now; the write count is that of `self`.
        WriteGuard {
            mount: self.mount,
            counted: false,
            _not_thread_safe: NotThreadSafe,
        }
    }
}

impl Drop for WriteAccess<'_> {
    fn drop(&mut self) {
        // SAFETY: By the type invariant.
        unsafe { bindings::mnt_put_write_access(self.mount.as_raw()) };
    }
}

impl<'a> WriteGuard<'a> {
    /// See [`MountExt::want_write`](super::MountExt::want_write).
    pub(super) fn want(mount: &'a Mount) -> Result<Self> {
        // SAFETY: Valid by the type invariant.
        to_result(unsafe { bindings::mnt_want_write(mount.as_raw()) })?;
        // INVARIANT: Both were gained just now.
        Ok(Self::new(mount))
    }

    /// See [`MountExt::try_want_write`](super::MountExt::try_want_write).
    pub(super) fn try_want(mount: &'a Mount) -> Result<Self> {
        let access = WriteAccess::get(mount)?;
        // SAFETY: The super block is pinned by the mount.
        if !unsafe { bindings::rvfs_sb_start_write_trylock(mount.sb().as_raw()) } {
            return Err(EBUSY);
        }
        // The write count is put together with the protection from freezing.
        core::mem::forget(access);
        // INVARIANT: Both were gained just now.
        Ok(Self::new(mount))
    }

    fn new(mount: &'a Mount) -> Self {
        Self {
            mount,
            counted: true,
            _not_thread_safe: NotThreadSafe,
        }
    }

    /// The mount.
    #[inline]
    pub fn mount(&self) -> &'a Mount {
        self.mount
    }

    /// Refuses a dentry of another file system, for which this guard would mean nothing.
    #[inline]
    pub(crate) fn check(&self, dentry: &Dentry<Foreign>) -> Result {
        if core::ptr::eq(dentry.layer_sb(), self.mount.sb()) {
            Ok(())
        } else {
            Err(EXDEV)
        }
    }
}

impl Drop for WriteGuard<'_> {
    fn drop(&mut self) {
        if self.counted {
            // SAFETY: By the type invariant.
            unsafe { bindings::mnt_drop_write(self.mount.as_raw()) };
        } else {
            // SAFETY: By the type invariant.
            unsafe { bindings::rvfs_sb_end_write(self.mount.sb().as_raw()) };
        }
    }
}
