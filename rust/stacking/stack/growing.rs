// SPDX-License-Identifier: GPL-2.0

//! The dentries of an object in all layers, of a mount whose upper layer may become a lower one.
//!
//! There is one list with all of them, the upper one at the top, and each says of which layer it is: it is
//! *the* upper one as long as that layer is the mount's. So what makes all uppers lower ones is one
//! store, in the mount, and nothing has to be done for any inode. A copy up after that makes a new list,
//! with one entry more.
//!
//! A list that was replaced stays until the inode goes, because others look at it without a lock; its
//! entries are in the new one, too.

use super::{
    Entries,
    LowerEntry,
    LowerStack,
    Lowers,
    Now, //
};
use crate::mount::LayerMounts;
use core::{
    marker::PhantomData,
    mem, ptr,
    sync::atomic::{
        AtomicPtr,
        AtomicU64,
        AtomicUsize,
        Ordering, //
    },
};
use kernel::prelude::*;
use vfs::{
    bindings,
    dentry::Dentry,
    Foreign,
    Ref, //
};

/// What an object was made of since some copy up.
struct List {
    /// Topmost first.
    entries: KVec<LowerEntry>,
    /// What shows of them as lower ones while the topmost one is the upper one, and else.
    below_upper: LowerStack<'static>,
    all_lower: LowerStack<'static>,
    /// The one before, or null.
    replaced: *mut List,
}

impl List {
    /// Of a directory, or of another object.
    fn new(entries: KVec<LowerEntry>, is_dir: bool, replaced: *mut List) -> Self {
        // What a file was copied from has been copied.
        let shown = |entries: &[LowerEntry]| {
            let shown = match is_dir {
                true => entries,
                false => entries.get(..1).unwrap_or_default(),
            };
            // INVARIANT: The entries do not move or change before the list goes, and this goes with it.
            LowerStack(Entries::Part(ptr::from_ref(shown)), PhantomData)
        };
        let below = entries.split_first().map_or(&[][..], |(_, below)| below);
        Self {
            below_upper: shown(below),
            all_lower: shown(&entries),
            entries,
            replaced,
        }
    }
}

/// The dentries of one object in all layers.
///
/// # Invariants
///
/// - `list`, and all that are reached from there by `replaced`, come from [`KBox::into_raw`] and are owned
///   by this object. They are not changed once they can be reached, and freed only with it.
/// - All entries of a list are also in the one that replaces it. The references are those of the newest.
pub(super) struct Growing {
    list: AtomicPtr<List>,
    is_dir: bool,
    /// From this one on layers are or were the upper one, as is the one at 0.
    later: usize,
    /// See [`keep_number`](Self::keep_number).
    number: AtomicU64,
    fsid: AtomicUsize,
}

// SAFETY: Dentries may be used and put in any task, and so may memory.
unsafe impl Send for Growing {}
// SAFETY: A shared reference gives out `&Dentry`, which is `Sync`, and only adds lists, atomically.
unsafe impl Sync for Growing {}

impl Growing {
    /// Of a directory, or of another object, that nobody else sees yet. Takes the entries of `lower`.
    ///
    /// Returns `ENOMEM`.
    pub(super) fn new(
        mounts: &LayerMounts,
        upper: Option<(Ref<'_, Dentry<Foreign>>, usize)>,
        lower: &mut LowerStack<'_>,
        is_dir: bool,
    ) -> Result<KBox<Self>> {
        let len = lower.len().saturating_add(1);
        let mut entries = KVec::with_capacity(len, GFP_KERNEL)?;
        let list = KBox::<List>::new_uninit(GFP_KERNEL)?;
        let this = KBox::<Self>::new_uninit(GFP_KERNEL)?;
        if let Some((upper, layer)) = upper {
            let layer = u16::try_from(layer)?;
            // INVARIANT: The reference is passed on to the list; there is room.
            let dentry = Ref::into_raw(upper);
            let _ = entries.push_within_capacity(LowerEntry { dentry, layer });
        }
        for entry in lower.as_slice() {
            let _ = entries.push_within_capacity(entry.alias());
        }
        // INVARIANT: The references are those of the list now: an entry does not put one.
        drop(mem::replace(&mut lower.0, Entries::None));
        let list = KBox::write(list, List::new(entries, is_dir, ptr::null_mut()));
        // INVARIANT: There is one list.
        let list = AtomicPtr::new(KBox::into_raw(list));
        Ok(KBox::write(
            this,
            Self {
                list,
                is_dir,
                later: mounts.num_lower().saturating_add(1),
                number: AtomicU64::new(0),
                fsid: AtomicUsize::new(0),
            },
        ))
    }

    /// Keeps the number that the object shows from now on: `ino` of the file system `fsid`.
    pub(super) fn keep_number(&self, ino: u64, fsid: usize) {
        // ORDERING: Published with the inode. It changes at the copy up of a file that breaks a link, and
        // who sees one half of that sees a number that is as old as the other.
        self.fsid.store(fsid, Ordering::Relaxed);
        self.number.store(ino, Ordering::Relaxed);
    }

    /// See [`keep_number`](Self::keep_number).
    pub(super) fn kept_number(&self) -> (u64, usize) {
        // ORDERING: As above.
        let ino = self.number.load(Ordering::Relaxed);
        (ino, self.fsid.load(Ordering::Relaxed))
    }

    fn list(&self) -> &List {
        // ORDERING: Acquire pairs with the Release in `publish`: the list is complete.
        let list = self.list.load(Ordering::Acquire);
        // SAFETY: By the type invariant it lives as long as `self`, and is not changed.
        unsafe { &*list }
    }

    /// All entries, topmost first.
    #[inline]
    pub(super) fn all(&self) -> &[LowerEntry] {
        &self.list().entries
    }

    /// What RCU walk sees: the topmost dentry, its layer, and whether that is or was the upper one.
    #[inline]
    pub(super) fn rcu_top(&self) -> Option<(*mut bindings::dentry, usize, bool)> {
        let top = self.all().first()?;
        let is_own = top.layer() == 0 || top.layer() >= self.later;
        Some((top.dentry().as_raw(), top.layer(), is_own))
    }

    /// What is the upper dentry now, and what the lower ones.
    ///
    /// Without the lock that keeps the layers from changing this is what was so at one moment.
    pub(super) fn now(&self, mounts: &LayerMounts) -> Now<'_> {
        // The list first: a layer that it names has become the upper one before. With an older list
        // that is so as well, as what was made since shows the same.
        let list = self.list();
        let top = list.entries.first();
        match top.filter(|top| self.is_upper(top, mounts)) {
            Some(top) => Now {
                upper: Some(top.dentry()),
                upper_layer: top.layer(),
                lower: Lowers(&list.below_upper),
            },
            None => Now {
                upper: None,
                upper_layer: 0,
                lower: Lowers(&list.all_lower),
            },
        }
    }

    /// Whether `top` is of the upper layer. A file without a name is in no layer: where it was made
    /// is where it stays.
    #[inline]
    fn is_upper(&self, top: &LowerEntry, mounts: &LayerMounts) -> bool {
        top.layer() == mounts.upper_index()
            || (!self.is_dir
                && mounts.was_upper(top.layer())
                && top.dentry().inode().is_some_and(|inode| inode.nlink() == 0))
    }

    /// Puts `upper` of layer `layer` on top of what there is.
    ///
    /// Returns `ENOMEM`, and `EEXIST` where somebody else has done so meanwhile, or something of this
    /// layer is at the top already. The dentry is put then.
    pub(super) fn publish(&self, upper: Ref<'_, Dentry<Foreign>>, layer: usize) -> Result {
        let layer = u16::try_from(layer)?;
        // ORDERING: Acquire, see `list`.
        let old = self.list.load(Ordering::Acquire);
        // SAFETY: As in `list`.
        let below = unsafe { &(*old).entries };
        if below.first().is_some_and(|top| top.layer == layer) {
            return Err(EEXIST);
        }
        let mut entries = KVec::with_capacity(below.len().saturating_add(1), GFP_KERNEL)?;
        let list = KBox::<List>::new_uninit(GFP_KERNEL)?;
        // INVARIANT: The reference is passed on if the list becomes the newest, and is taken back if
        // not; there is room.
        let dentry = Ref::into_raw(upper);
        let _ = entries.push_within_capacity(LowerEntry { dentry, layer });
        for entry in below {
            let _ = entries.push_within_capacity(entry.alias());
        }
        let new = List::new(entries, self.is_dir, old);
        let new = KBox::into_raw(KBox::write(list, new));
        // ORDERING: Release, see `list`. On failure nothing is read through the pointer.
        let stored = self
            .list
            .compare_exchange(old, new, Ordering::Release, Ordering::Relaxed);
        if stored.is_err() {
            // SAFETY: Comes from `into_raw` above and was not stored. The older lists are not its own.
            drop(unsafe { KBox::from_raw(new) });
            // SAFETY: The reference was taken apart above, and nobody else has the entry.
            drop(unsafe { Ref::from_raw(dentry) });
            return Err(EEXIST);
        }
        // INVARIANT: All entries of `old` are in the new one, with the references, and `old` is reached
        // from there.
        Ok(())
    }
}

impl Drop for Growing {
    fn drop(&mut self) {
        let mut list = *self.list.get_mut();
        while !list.is_null() {
            // SAFETY: By the type invariant it is owned, and nobody can reach it any more. Entries do not
            // put their references: the stack does.
            let freed = unsafe { KBox::from_raw(list) };
            list = freed.replaced;
        }
    }
}
