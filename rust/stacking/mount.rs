// SPDX-License-Identifier: GPL-2.0

//! Mounts of the layers.
//!
//! C header: [`include/linux/mount.h`](srctree/include/linux/mount.h)

mod write;

pub use write::{
    UpperMount,
    WriteAccess,
    WriteGuard, //
};

use crate::cred::AsMounter;
use core::{
    ops::Deref,
    ptr::NonNull,
    sync::atomic::{
        AtomicBool,
        Ordering, //
    }, //
};
use kernel::{
    error::from_err_ptr,
    prelude::*,
    str::CStr, //
};
use vfs::{
    bindings,
    dentry::Dentry,
    errno::to_result,
    mount::Mount,
    path::Path,
    Foreign,
    Ref, //
};

/// What is done with the mount of a layer.
pub trait MountExt {
    /// Looks `name`, which may start with slashes, up from the root of the mount for the mounter
    /// (`vfs_path_lookup()`). What is found is positive.
    ///
    /// Follows no link of any kind (`ELOOP`), no `..` out of the mount and no mount on top of it
    /// (`EXDEV`).
    fn lookup_beneath(
        &self,
        as_mounter: &AsMounter,
        name: &CStr,
    ) -> Result<Ref<'_, Dentry<Foreign>>>;
}

impl MountExt for Mount {
    fn lookup_beneath(
        &self,
        as_mounter: &AsMounter,
        name: &CStr,
    ) -> Result<Ref<'_, Dentry<Foreign>>> {
        as_mounter.check()?;
        let mut path = bindings::path::default();
        // SAFETY: The mount and its root are valid, the name is NUL-terminated; the path is written
        // on success.
        to_result(unsafe {
            bindings::vfs_path_lookup(
                self.root().as_raw(),
                self.as_raw(),
                name.as_char_ptr(),
                bindings::rvfs_const_RVFS_LOOKUP_IN_LAYER,
                &mut path,
            )
        })?;
        // SAFETY: `vfs_path_lookup()` returns references.
        let path = unsafe { Path::from_raw(path) };
        self.adopt(Ref::from(path.dentry()))
    }
}

/// Whether a layer will be written.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum LayerKind {
    /// The upper layer: access times are kept as the layer's file system does.
    Upper,
    /// A lower layer: read-only, and access times are not kept.
    Lower,
}

/// The private mounts of all layers; the mount at index 0 is the upper one.
///
/// # Invariants
///
/// Every non-null entry is a private mount that this object owns, until `end`.
pub struct LayerMounts {
    mounts: KVec<Option<NonNull<bindings::vfsmount>>>,
    ended: AtomicBool,
    /// See [`take_changed`](Self::take_changed).
    changed: AtomicBool,
}

// SAFETY: Mounts may be used and put in any task.
unsafe impl Send for LayerMounts {}
// SAFETY: A shared reference only hands out `&Mount`, which is `Sync`.
unsafe impl Sync for LayerMounts {}

impl LayerMounts {
    /// No mounts, with room for `layers` lower ones.
    pub fn with_capacity(layers: usize) -> Result<Self> {
        let mut mounts = KVec::with_capacity(layers.saturating_add(1), GFP_KERNEL)?;
        mounts.push(None, GFP_KERNEL)?;
        Ok(Self {
            mounts,
            ended: AtomicBool::new(false),
            changed: AtomicBool::new(false),
        })
    }

    /// Ends the mounts: waits for a grace period of RCU, and puts them. Returns whether it has waited.
    ///
    /// # Safety
    ///
    /// Nobody but RCU walk uses the mounts, now or later.
    pub(crate) unsafe fn end(&self) -> bool {
        // ORDERING: Whoever may end them is the only one.
        if self.ended.swap(true, Ordering::Relaxed) {
            return false;
        }
        // It takes no null pointers, so the entry of a missing upper layer is passed over.
        let missing = usize::from(self.upper().is_none());
        let mounts = self.mounts.get(missing..).unwrap_or_default();
        if mounts.is_empty() {
            return false;
        }
        let array = mounts.as_ptr().cast_mut().cast();
        // SAFETY: By the type invariant the mounts are owned, and given up here; `Option<NonNull>` is a
        // pointer, and the array is only read. CAST: at most 501.
        unsafe { bindings::kern_unmount_array(array, mounts.len() as c_uint) };
        true
    }

    /// Clones the mount of the upper layer (`clone_private_mount()`). Returns `EEXIST` where there is
    /// one.
    pub fn set_upper(&mut self, path: &Path) -> Result {
        let empty = self.mounts.first_mut().filter(|slot| slot.is_none());
        let slot = empty.ok_or(EEXIST)?;
        // INVARIANT: A private mount, in a place that was empty.
        *slot = Some(clone_private(path, LayerKind::Upper)?);
        Ok(())
    }

    /// Clones the mount of the next lower layer and returns its index.
    pub fn push_lower(&mut self, path: &Path) -> Result<usize> {
        self.mounts.reserve(1, GFP_KERNEL)?;
        let mount = clone_private(path, LayerKind::Lower)?;
        let index = self.mounts.len();
        // INVARIANT: A private mount; there is room for it.
        self.mounts.push(Some(mount), GFP_KERNEL)?;
        Ok(index)
    }

    /// The mount of the upper layer.
    #[inline]
    pub fn upper(&self) -> Option<&Mount> {
        self.get(0)
    }

    /// The mount of the upper layer, to change what is there.
    #[inline]
    pub fn upper_mount(&self) -> Option<UpperMount<'_>> {
        Some(UpperMount::new(self.upper()?, Some(&self.changed)))
    }

    /// Whether names, inodes or attributes of the upper layer were changed through
    /// [`upper_mount`](Self::upper_mount) since the last call. Of a change that is complete before the
    /// call, this one or an earlier one tells.
    pub fn take_changed(&self) -> bool {
        // ORDERING: Acquire pairs with the store in `note_change`.
        self.changed.swap(false, Ordering::AcqRel)
    }

    /// Notes a change that was made in another way, after it was made.
    #[inline]
    pub fn note_change(&self) {
        write::note_change(&self.changed);
    }

    /// The mount of layer `index`.
    #[inline]
    pub fn get(&self, index: usize) -> Option<&Mount> {
        let mount = (*self.mounts.get(index)?)?;
        // SAFETY: By the type invariant it lives as long as `self`.
        Some(unsafe { Mount::from_raw(mount.as_ptr()) })
    }

    /// The number of lower layers.
    pub fn num_lower(&self) -> usize {
        self.mounts.len().saturating_sub(1)
    }
}

/// The private mount of a file system that stacks on a single directory.
///
/// # Invariants
///
/// `0` is a private mount that this object owns.
pub struct PrivateMount(NonNull<bindings::vfsmount>);

// SAFETY: A mount may be used and put in any task.
unsafe impl Send for PrivateMount {}
// SAFETY: A shared reference only hands out `&Mount`, which is `Sync`.
unsafe impl Sync for PrivateMount {}

impl PrivateMount {
    /// Clones the mount of `path` (`clone_private_mount()`), so that nothing that is mounted or
    /// moved later changes what is seen through it.
    ///
    /// Returns `EINVAL` for a mount that must not be cloned.
    pub fn new(path: &Path, kind: LayerKind) -> Result<Self> {
        // INVARIANT: A new private mount.
        clone_private(path, kind).map(Self)
    }
}

impl PrivateMount {
    /// To change what is there.
    pub fn writable(&self) -> UpperMount<'_> {
        UpperMount::new(self, None)
    }

    /// See [`UpperMount::want_write`].
    pub fn want_write(&self) -> Result<WriteGuard<'_>> {
        self.writable().want_write()
    }
}

impl Deref for PrivateMount {
    type Target = Mount;

    #[inline]
    fn deref(&self) -> &Mount {
        // SAFETY: By the type invariant it lives as long as `self`.
        unsafe { Mount::from_raw(self.0.as_ptr()) }
    }
}

impl Drop for PrivateMount {
    fn drop(&mut self) {
        // SAFETY: By the type invariant the mount is owned.
        unsafe { bindings::kern_unmount(self.0.as_ptr()) };
    }
}

fn clone_private(path: &Path, kind: LayerKind) -> Result<NonNull<bindings::vfsmount>> {
    // SAFETY: The path is valid.
    let mount = from_err_ptr(unsafe { bindings::rvfs_clone_private_mount(path.as_raw()) })?;
    let (set, clear) = match kind {
        LayerKind::Upper => (
            0,
            bindings::mount_flags_MNT_NOATIME
                | bindings::mount_flags_MNT_NODIRATIME
                | bindings::mount_flags_MNT_RELATIME,
        ),
        // Lower layers are never changed, not even by fchmod() on one of their files.
        LayerKind::Lower => (
            bindings::mount_flags_MNT_READONLY | bindings::mount_flags_MNT_NOATIME,
            0,
        ),
    };
    // SAFETY: The mount is new, and nobody else knows of it. CAST: flag bits.
    unsafe { (*mount).mnt_flags = ((*mount).mnt_flags & !(clear as c_int)) | set as c_int };
    NonNull::new(mount).ok_or(ENOMEM)
}

impl Drop for LayerMounts {
    fn drop(&mut self) {
        // One grace period only, however many mounts there are.
        // SAFETY: Nobody else uses what is dropped.
        unsafe { self.end() };
    }
}
