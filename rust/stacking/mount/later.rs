// SPDX-License-Identifier: GPL-2.0

//! Layers that come while others are there.

use super::{
    clone_private,
    Layer,
    LayerKind,
    UpperMount, //
};
use crate::path::LayerPath;
use core::{
    ptr::NonNull,
    sync::atomic::{
        AtomicBool,
        Ordering, //
    }, //
};
use kernel::prelude::*;
use vfs::{
    bindings,
    mount::Mount,
    path::Path,
    Ref, //
};

/// A layer that comes later.
///
/// # Invariants
///
/// `layer` has a private mount that this object owns, and a reference on a dentry of the same file system, until `ended`.
pub struct LaterUpper {
    layer: Layer,
    pub(super) kind: LayerKind,
    pub(super) gone: AtomicBool,
    ended: AtomicBool,
}

// SAFETY: Mounts and dentries may be used and put in any task.
unsafe impl Send for LaterUpper {}
// SAFETY: A shared reference only hands out `&Mount` and `&Dentry`, which are `Sync`.
unsafe impl Sync for LaterUpper {}

impl LaterUpper {
    /// Clones the mount of `path` (`clone_private_mount()`). Returns `EINVAL` for a mount that must not
    /// be cloned.
    pub fn new(path: &Path) -> Result<Self> {
        Self::of_kind(path, LayerKind::Upper)
    }

    /// The same for one that is never the upper one.
    pub fn lower(path: &Path) -> Result<Self> {
        Self::of_kind(path, LayerKind::Lower)
    }

    fn of_kind(path: &Path, kind: LayerKind) -> Result<Self> {
        let mount = clone_private(path, kind)?;
        // INVARIANT: A path is that of a dentry in its mount, of which this is a clone.
        let root = Ref::into_raw(Ref::from(path.dentry()));
        Ok(Self {
            layer: Layer { mount, root },
            kind,
            gone: AtomicBool::new(false),
            ended: AtomicBool::new(false),
        })
    }

    pub(super) fn mount(&self) -> &Mount {
        // SAFETY: By the type invariant it lives as long as `self`, which is ended only when nobody uses it any more.
        unsafe { Mount::from_raw(self.layer.mount.as_ptr()) }
    }

    /// Puts the root, and returns the mount, which the caller has to put; `None` after the first time.
    ///
    /// # Safety
    ///
    /// Nobody but RCU walk uses them, now or later.
    pub(super) unsafe fn end(&self) -> Option<NonNull<bindings::vfsmount>> {
        // ORDERING: Whoever may end it is the only one.
        if self.ended.swap(true, Ordering::Relaxed) {
            return None;
        }
        // SAFETY: By the type invariant the reference is owned, and given up here, before the mount.
        drop(unsafe { Ref::from_raw(self.layer.root) });
        Some(self.layer.mount)
    }

    /// Its root.
    pub fn root(&self) -> Result<LayerPath<'_>> {
        // SAFETY: As for `mount`.
        LayerPath::new(self.mount(), unsafe { self.layer.root.as_ref() })
    }

    /// Its mount, to change what is there.
    pub fn writable(&self) -> UpperMount<'_> {
        UpperMount::new(self.mount(), None)
    }
}

impl Drop for LaterUpper {
    fn drop(&mut self) {
        // SAFETY: Nobody else has it.
        if let Some(mount) = unsafe { self.end() } {
            // SAFETY: By the type invariant it was owned.
            unsafe { bindings::kern_unmount(mount.as_ptr()) };
        }
    }
}
