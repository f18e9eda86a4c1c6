// SPDX-License-Identifier: GPL-2.0

//! Write access to the upper layer.

use super::Mount;
use core::{
    ops::Deref,
    sync::atomic::{
        fence,
        AtomicBool,
        Ordering, //
    }, //
};
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

/// Notes a change. What is noted is seen by whoever takes it off, with the change.
#[inline]
pub(super) fn note_change(changed: &AtomicBool) {
    // ORDERING: The change comes before the look at what is noted already: who takes that off later
    // looks for changes after that, and finds this one.
    fence(Ordering::SeqCst);
    // ORDERING: As above; Release for who takes off what is stored here.
    if !changed.load(Ordering::Relaxed) {
        changed.store(true, Ordering::Release);
    }
}

/// The mount of a layer that can be written.
#[derive(Clone, Copy)]
pub struct UpperMount<'a> {
    mount: &'a Mount,
    /// Where a change is noted when it is complete.
    changed: Option<&'a AtomicBool>,
}

impl<'a> UpperMount<'a> {
    pub(super) fn new(mount: &'a Mount, changed: Option<&'a AtomicBool>) -> Self {
        Self { mount, changed }
    }

    /// The mount.
    #[inline]
    pub fn mount(self) -> &'a Mount {
        self.mount
    }

    /// The same, for changes that need not be durable, and are not noted: what is lost of them when the
    /// machine stops is of no use to anybody then.
    pub fn unnoted(self) -> Self {
        Self {
            changed: None,
            ..self
        }
    }

    /// Gets the right to write (`mnt_get_write_access()`). Returns `EROFS`.
    pub fn get_write_access(self) -> Result<WriteAccess<'a>> {
        // SAFETY: Valid by the type invariant.
        to_result(unsafe { bindings::mnt_get_write_access(self.mount.as_raw()) })?;
        // INVARIANT: The count was raised just now.
        Ok(WriteAccess { upper: self })
    }

    /// Gets write access and freeze protection (`mnt_want_write()`). May block while frozen.
    ///
    /// Returns `EROFS`.
    #[inline]
    pub fn want_write(self) -> Result<WriteGuard<'a>> {
        // SAFETY: Valid by the type invariant.
        to_result(unsafe { bindings::mnt_want_write(self.mount.as_raw()) })?;
        // INVARIANT: Both were gained just now.
        Ok(WriteGuard::new(self, true))
    }

    /// The same without waiting for a frozen file system. Returns `EBUSY` for such a one.
    pub fn try_want_write(self) -> Result<WriteGuard<'a>> {
        let access = self.get_write_access()?;
        // SAFETY: The super block is pinned by the mount.
        if !unsafe { bindings::rvfs_sb_start_write_trylock(self.mount.sb().as_raw()) } {
            return Err(EBUSY);
        }
        // The write count is put together with the protection from freezing.
        core::mem::forget(access);
        // INVARIANT: Both were gained just now.
        Ok(WriteGuard::new(self, true))
    }
}

impl Deref for UpperMount<'_> {
    type Target = Mount;

    #[inline]
    fn deref(&self) -> &Mount {
        self.mount
    }
}

/// The right to write to a mount over some time (`mnt_get_write_access()`).
///
/// The mount cannot become read-only meanwhile, but its file system can be frozen.
///
/// # Invariants
///
/// The write count of the mount is raised by one for this object.
pub struct WriteAccess<'a> {
    upper: UpperMount<'a>,
}

/// Write access and protection from freezing.
///
/// Everything that changes a layer asks for it. Only one may be held at a time by a task, and no
/// `i_rwsem` of a lower directory may be taken under it: see the lock order in
/// Documentation/design.rst. When it is dropped, the change is noted, see
/// [`LayerMounts::take_changed`](super::LayerMounts::take_changed).
///
/// # Invariants
///
/// Freeze protection of the super block of the mount is held by this task, and also a write count of
/// the mount: by this object where `counted`, else by the [`WriteAccess`] that it borrows.
pub struct WriteGuard<'a> {
    upper: UpperMount<'a>,
    counted: bool,
    _not_thread_safe: NotThreadSafe,
}

impl WriteAccess<'_> {
    /// Adds freeze protection (`sb_start_write()`). May block while frozen.
    pub fn start_write(&self) -> WriteGuard<'_> {
        // SAFETY: The super block is pinned by the mount.
        unsafe { bindings::rvfs_sb_start_write(self.upper.mount.sb().as_raw()) };
        // INVARIANT: Gained just now; the write count is that of `self`.
        WriteGuard::new(self.upper, false)
    }
}

impl Drop for WriteAccess<'_> {
    fn drop(&mut self) {
        // SAFETY: By the type invariant.
        unsafe { bindings::mnt_put_write_access(self.upper.mount.as_raw()) };
    }
}

impl<'a> WriteGuard<'a> {
    #[inline]
    fn new(upper: UpperMount<'a>, counted: bool) -> Self {
        Self {
            upper,
            counted,
            _not_thread_safe: NotThreadSafe,
        }
    }

    /// The mount.
    #[inline]
    pub fn mount(&self) -> &'a Mount {
        self.upper.mount
    }

    /// Refuses a dentry of another file system, for which this guard would mean nothing.
    #[inline]
    pub(crate) fn check(&self, dentry: &Dentry<Foreign>) -> Result {
        if core::ptr::eq(dentry.layer_sb(), self.upper.mount.sb()) {
            Ok(())
        } else {
            Err(EXDEV)
        }
    }
}

impl Drop for WriteGuard<'_> {
    #[inline]
    fn drop(&mut self) {
        let mount = self.upper.mount;
        if self.counted {
            // SAFETY: By the type invariant.
            unsafe { bindings::mnt_drop_write(mount.as_raw()) };
        } else {
            // SAFETY: By the type invariant.
            unsafe { bindings::rvfs_sb_end_write(mount.sb().as_raw()) };
        }
        if let Some(changed) = self.upper.changed {
            note_change(changed);
        }
    }
}
