// SPDX-License-Identifier: GPL-2.0

//! Mounts of the layers.
//!
//! C header: [`include/linux/mount.h`](srctree/include/linux/mount.h)

mod changed_names;
mod later;
mod write;

pub use later::LaterUpper;
pub use write::{
    UpperMount,
    WriteAccess,
    WriteGuard, //
};

use crate::{
    path::LayerPath,
    shelf::Shelf, //
};
use changed_names::ChangedNames;
use core::{
    ops::Deref,
    ptr::NonNull,
    sync::atomic::{
        AtomicBool,
        AtomicU32,
        AtomicUsize,
        Ordering, //
    }, //
};
use kernel::{
    error::from_err_ptr,
    prelude::*, //
};
use vfs::{
    bindings,
    dentry::Dentry,
    mount::Mount,
    path::Path,
    Foreign,
    Ref, //
};

/// Whether a layer will be written.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum LayerKind {
    /// The upper layer: access times are kept as the layer's file system does.
    Upper,
    /// A lower layer: read-only, and access times are not kept.
    Lower,
}

/// A layer: its root, and the mount through which it is seen, which others may share.
struct Layer {
    mount: NonNull<bindings::vfsmount>,
    root: NonNull<Dentry<Foreign>>,
}

/// A mount that lower layers may share.
struct Shared {
    /// The mount of which it is a clone, compared only: whoever makes the layers has a reference.
    source: *const Mount,
    /// The clone of all of it; `None` where there was one layer so far, or it cannot be cloned.
    clone: Option<NonNull<bindings::vfsmount>>,
    /// The clone of all of it was refused.
    refused: bool,
}

/// The private mounts of all layers; the mount at index 0 is the upper one.
///
/// A lower layer has a private mount that begins at its root, or, if there are more on one mount, shares
/// one that begins where that one does: what matters of a mount beside its root, flags and the mapping of
/// ids, is the same.
///
/// # Invariants
///
/// - `owned` are private mounts that this object owns, until `end`.
/// - Every layer has one of these, and a reference on its root, which is of the same file system, until
///   `end`; those in `later` have their own, until this object goes.
/// - `upper` is the index of the upper layer, or of one that could be it: that of a layer of which
///   [`was_upper`](Self::was_upper) is true.
pub struct LayerMounts {
    layers: KVec<Option<Layer>>,
    owned: KVec<NonNull<bindings::vfsmount>>,
    /// Only while layers are added.
    shared: KVec<Shared>,
    ended: AtomicBool,
    /// See [`take_changed`](Self::take_changed).
    changed: AtomicBool,
    /// Layers that come later, of a mount whose layers change.
    later: Shelf<LaterUpper>,
    upper: AtomicUsize,
    /// Of a mount whose layers change: which of `layers` are gone.
    gone: KVec<AtomicBool>,
    /// See [`generation`](Self::generation).
    generation: AtomicU32,
    changed_names: ChangedNames,
}

// SAFETY: Mounts may be used and put in any task.
unsafe impl Send for LayerMounts {}
// SAFETY: A shared reference only hands out `&Mount`, which is `Sync`.
unsafe impl Sync for LayerMounts {}

impl LayerMounts {
    /// No mounts, with room for `layers` lower ones.
    pub fn with_capacity(layers: usize) -> Result<Self> {
        let mut list = KVec::with_capacity(layers.saturating_add(1), GFP_KERNEL)?;
        list.push(None, GFP_KERNEL)?;
        Ok(Self {
            layers: list,
            // That of the upper layer, the first one of a mount, and one that the others share.
            owned: KVec::with_capacity(layers.saturating_add(1).min(3), GFP_KERNEL)?,
            shared: KVec::new(),
            ended: AtomicBool::new(false),
            changed: AtomicBool::new(false),
            later: Shelf::none(),
            upper: AtomicUsize::new(0),
            gone: KVec::new(),
            generation: AtomicU32::new(0),
            changed_names: ChangedNames::none(),
        })
    }

    /// Makes room for so many layers that come later. All that the mount is made with are there.
    pub fn reserve_later(&mut self, count: usize) -> Result {
        self.later = Shelf::with_room(count)?;
        self.changed_names = ChangedNames::with_room()?;
        self.gone.reserve(self.layers.len(), GFP_KERNEL)?;
        for _ in 0..self.layers.len() {
            self.gone.push(AtomicBool::new(false), GFP_KERNEL)?;
        }
        Ok(())
    }

    /// Whether there is room for upper layers that come later, so that layers change.
    #[inline]
    pub fn may_grow(&self) -> bool {
        self.later.room() != 0
    }

    /// The index of the upper layer, which is 0 where layers do not change.
    ///
    /// Who sees it sees what was done before it became the upper one.
    #[inline]
    pub fn upper_index(&self) -> usize {
        // ORDERING: Acquire pairs with the Release in `set_upper_index`.
        self.upper.load(Ordering::Acquire)
    }

    /// Whether the layer `index` is, was, or may become the upper one.
    #[inline]
    pub fn was_upper(&self, index: usize) -> bool {
        let later = || self.later(index).map(|later| later.kind);
        index == 0 || later() == Some(LayerKind::Upper)
    }

    /// How many layers have come later.
    pub fn num_later(&self) -> usize {
        self.later.len()
    }

    /// Makes room for one more layer that comes later.
    ///
    /// Returns `ENOSPC` where there were as many as there can be, and `ENOMEM`. Only one task may do this, or add
    /// one, at a time.
    pub fn reserve_one(&self) -> Result {
        self.later.reserve()
    }

    /// Adds a layer that comes later, and returns its index. It is not the upper one before
    /// [`set_upper_index`](Self::set_upper_index).
    ///
    /// Returns what [`reserve_one`](Self::reserve_one) returns.
    pub fn add_later(&self, layer: LaterUpper) -> Result<usize> {
        let place = self.later.add(layer)?;
        Ok(self.layers.len().saturating_add(place))
    }

    /// Whether the layer `index` has left the mount, whose layers change. Inodes may have dentries of it.
    #[inline]
    pub fn is_gone(&self, index: usize) -> bool {
        let gone = match self.gone.get(index) {
            Some(gone) => gone,
            None => match self.later(index) {
                Some(later) => &later.gone,
                None => return false,
            },
        };
        // ORDERING: Acquire pairs with the Release in `set_gone`.
        gone.load(Ordering::Acquire)
    }

    /// Notes that the layer `index` leaves the mount. It stays mounted as long as this object is there.
    pub fn set_gone(&self, index: usize) {
        let gone = self.gone.get(index);
        if let Some(gone) = gone.or_else(|| Some(&self.later(index)?.gone)) {
            // ORDERING: See `is_gone`.
            gone.store(true, Ordering::Release);
        }
    }

    /// The generation of the layers: what was found in an earlier one may not be what there is now. It is
    /// odd while the layers are being changed.
    ///
    /// Who sees it sees the layers that it is of.
    #[inline]
    pub fn generation(&self) -> u32 {
        // ORDERING: Acquire pairs with the Release in `step_generation`.
        self.generation.load(Ordering::Acquire)
    }

    /// Begins a change of the layers, or ends it.
    pub fn step_generation(&self) {
        // ORDERING: Release, see `generation`; Acquire, so that what is changed after the first step is not seen
        // before it.
        self.generation.fetch_add(1, Ordering::AcqRel);
    }

    /// Makes the layer `index` the upper one. Returns `EINVAL` for one that cannot be.
    pub fn set_upper_index(&self, index: usize) -> Result {
        if !self.was_upper(index) || self.get(index).is_none() {
            return Err(EINVAL);
        }
        // INVARIANT: Just checked.
        // ORDERING: Release, see `upper_index`.
        self.upper.store(index, Ordering::Release);
        Ok(())
    }

    /// The one with index `index` of those that came later.
    fn later(&self, index: usize) -> Option<&LaterUpper> {
        self.later.get(index.checked_sub(self.layers.len())?)
    }

    /// Ends the mounts: waits for a grace period of RCU, and puts them. Returns whether it has waited.
    ///
    /// # Safety
    ///
    /// Nobody but RCU walk uses the mounts, now or later.
    pub(crate) unsafe fn end(&self) -> bool {
        // ORDERING: Whoever may end them is the only one.
        if self.ended.swap(true, Ordering::Relaxed) || self.owned.is_empty() {
            return false;
        }
        for layer in self.layers.iter().flatten() {
            // SAFETY: By the type invariant the reference is owned, and given up here, before the mount.
            drop(unsafe { Ref::from_raw(layer.root) });
        }
        // SAFETY: By the safety requirements.
        unsafe { self.end_later() };
        // SAFETY: By the type invariant the mounts are owned, and given up here.
        unsafe { unmount(&self.owned) };
        true
    }

    /// Ends those that came later, many at a time. Without memory for that they end with this object, one by one.
    ///
    /// # Safety
    ///
    /// As for [`end`](Self::end).
    unsafe fn end_later(&self) {
        let Ok(mut mounts) = KVec::with_capacity(self.later.len().min(MANY), GFP_KERNEL) else {
            return;
        };
        for later in self.later.iter() {
            // SAFETY: By the safety requirements.
            if let Some(mount) = unsafe { later.end() } {
                // There is room: it is emptied when it is full.
                let _ = mounts.push_within_capacity(mount);
            }
            if mounts.len() == MANY {
                // SAFETY: They were owned, and given up.
                unsafe { unmount(&mounts) };
                mounts.clear();
            }
        }
        // SAFETY: As above.
        unsafe { unmount(&mounts) };
    }

    /// Clones the mount of `path` from `root` on and owns the clone.
    fn clone(&mut self, path: &Path, kind: LayerKind) -> Result<NonNull<bindings::vfsmount>> {
        self.owned.reserve(1, GFP_KERNEL)?;
        let mount = clone_private(path, kind)?;
        // INVARIANT: A private mount; there is room for it.
        self.owned.push(mount, GFP_KERNEL)?;
        Ok(mount)
    }

    /// Clones the mount of the upper layer (`clone_private_mount()`). Returns `EEXIST` where there is
    /// one.
    pub fn set_upper(&mut self, path: &Path) -> Result {
        if self.layers.first().is_none_or(|upper| upper.is_some()) {
            return Err(EEXIST);
        }
        let mount = self.clone(path, LayerKind::Upper)?;
        if let Some(upper) = self.layers.first_mut() {
            // INVARIANT: A path is that of a dentry in its mount, of which this is a clone.
            let root = Ref::into_raw(Ref::from(path.dentry()));
            *upper = Some(Layer { mount, root });
        }
        Ok(())
    }

    /// Adds the next lower layer and returns its index. Clones its mount, or shares the clone for a
    /// layer before.
    ///
    /// The mounts of all layers have to be referenced until the last one is added.
    pub fn push_lower(&mut self, path: &Path) -> Result<usize> {
        self.layers.reserve(1, GFP_KERNEL)?;
        let mount = self.lower_mount(path)?;
        let index = self.layers.len();
        // INVARIANT: As for the upper layer; there is room for it.
        let root = Ref::into_raw(Ref::from(path.dentry()));
        self.layers.push(Some(Layer { mount, root }), GFP_KERNEL)?;
        Ok(index)
    }

    /// The mount of a lower layer.
    fn lower_mount(&mut self, path: &Path) -> Result<NonNull<bindings::vfsmount>> {
        let source: *const Mount = path.mount();
        let known = self.shared.iter().position(|known| known.source == source);
        let Some(known) = known else {
            let new = Shared {
                source,
                clone: None,
                refused: false,
            };
            self.shared.push(new, GFP_KERNEL)?;
            return self.clone(path, LayerKind::Lower);
        };
        let (clone, refused) = match self.shared.get(known) {
            Some(known) => (known.clone, known.refused),
            None => (None, true),
        };
        // A mount that was let go of too early may have left its address to another one.
        let clone = clone.filter(|clone| {
            // SAFETY: By the type invariant it lives as long as `self`.
            let mount = unsafe { Mount::from_raw(clone.as_ptr()) };
            LayerPath::new(mount, path.dentry()).is_ok()
        });
        if let Some(clone) = clone {
            return Ok(clone);
        }
        if refused {
            return self.clone(path, LayerKind::Lower);
        }
        // It is refused where something is mounted in it that must not be looked under, which is
        // true of none of its directories then, or of some only.
        let whole = path.root_of_mount();
        let made = self.clone(&whole, LayerKind::Lower);
        if let Some(known) = self.shared.get_mut(known) {
            known.clone = made.as_ref().ok().copied();
            known.refused = made.is_err();
        }
        match made {
            Ok(mount) => Ok(mount),
            Err(_) => self.clone(path, LayerKind::Lower),
        }
    }

    /// The mount of the upper layer.
    #[inline]
    pub fn upper(&self) -> Option<&Mount> {
        self.get(self.upper_index())
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
        let Some(layer) = self.layers.get(index) else {
            return self.later_mount(index);
        };
        let layer = layer.as_ref()?;
        // SAFETY: By the type invariant it lives as long as `self`.
        Some(unsafe { Mount::from_raw(layer.mount.as_ptr()) })
    }

    /// The mount of one of the layers that came later.
    #[cold]
    #[inline(never)]
    fn later_mount(&self, index: usize) -> Option<&Mount> {
        Some(self.later(index)?.mount())
    }

    /// The root of layer `index`. That of its mount may be above.
    #[inline]
    pub fn root(&self, index: usize) -> Option<LayerPath<'_>> {
        let Some(layer) = self.layers.get(index) else {
            return self.later(index)?.root().ok();
        };
        let layer = layer.as_ref()?;
        // SAFETY: By the type invariant it is referenced as long as `self` lives.
        LayerPath::new(self.get(index)?, unsafe { layer.root.as_ref() }).ok()
    }

    /// The number of lower layers that the mount was made with.
    #[inline]
    pub fn num_lower(&self) -> usize {
        self.layers.len().saturating_sub(1)
    }
}

/// How many mounts are put with one grace period, of those that came later.
const MANY: usize = 64;

/// Puts private mounts, after one grace period of RCU.
///
/// # Safety
///
/// The caller owns all of them, and gives them up.
unsafe fn unmount(mounts: &[NonNull<bindings::vfsmount>]) {
    if mounts.is_empty() {
        return;
    }
    let array = mounts.as_ptr().cast_mut().cast();
    // SAFETY: By the safety requirements; `NonNull` is a pointer, and the array is only read. CAST: at most 501.
    unsafe { bindings::kern_unmount_array(array, mounts.len() as c_uint) };
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
