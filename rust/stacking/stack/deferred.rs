// SPDX-License-Identifier: GPL-2.0

//! A lower dentry that is looked for when it is first needed.

use super::LowerEntry;
use core::{
    ptr::{
        self,
        NonNull, //
    },
    sync::atomic::{
        AtomicPtr,
        Ordering, //
    },
};
use kernel::prelude::*;
use vfs::{
    dentry::Dentry,
    Foreign,
    Ref, //
};

/// The entries of a file whose data is in a layer below that of its attributes, and is looked for
/// later.
///
/// As [`vfs::publish::Once`]: who sees the entry sees what was written before, and
/// two different entries are never seen.
///
/// # Invariants
///
/// `data` is null, or comes from [`KBox::into_raw`] and is owned by this object. It changes once,
/// from null.
pub(super) struct Deferred {
    /// What has the attributes.
    top: [LowerEntry; 1],
    /// Where the data is.
    place: KVec<u8>,
    /// What has the data.
    data: AtomicPtr<LowerEntry>,
}

impl Deferred {
    /// Nothing found yet.
    pub(super) fn new(top: LowerEntry, place: KVec<u8>) -> Self {
        // INVARIANT: The pointer is null.
        Self {
            top: [top],
            place,
            data: AtomicPtr::new(ptr::null_mut()),
        }
    }

    /// What has the attributes, as a slice of one.
    #[inline]
    pub(super) fn top(&self) -> &[LowerEntry] {
        &self.top
    }

    /// Where the data is.
    #[inline]
    pub(super) fn place(&self) -> &[u8] {
        &self.place
    }

    /// What has the data, once it was found.
    #[inline]
    pub(super) fn data(&self) -> Option<&LowerEntry> {
        // ORDERING: Acquire pairs with the Release in `publish`: the entry is complete.
        let data = NonNull::new(self.data.load(Ordering::Acquire))?;
        // SAFETY: By the type invariant the entry lives as long as `self`.
        Some(unsafe { data.as_ref() })
    }

    /// Makes `dentry` of layer `layer` visible as what has the data. Puts it, and is without effect,
    /// where there is one already.
    ///
    /// Returns `ENOMEM`.
    pub(super) fn publish(&self, dentry: Ref<'_, Dentry<Foreign>>, layer: usize) -> Result {
        let layer = u16::try_from(layer)?;
        let slot = KBox::<LowerEntry>::new_uninit(GFP_KERNEL)?;
        // INVARIANT: The reference is passed on to the stack if the entry becomes part of it below,
        // and is taken back if not.
        let entry = LowerEntry {
            dentry: Ref::into_raw(dentry),
            layer,
        };
        let raw = KBox::into_raw(KBox::write(slot, entry));
        // ORDERING: Release, see `data`. On failure nothing is read through the pointer.
        let stored =
            self.data
                .compare_exchange(ptr::null_mut(), raw, Ordering::Release, Ordering::Relaxed);
        if stored.is_err() {
            // SAFETY: Comes from `into_raw` above and was not stored.
            let late = unsafe { KBox::from_raw(raw) };
            // SAFETY: The reference was taken apart above, and nobody else has the entry.
            drop(unsafe { Ref::from_raw(late.dentry) });
        }
        // INVARIANT: Else it was null, and owns the box from now on.
        Ok(())
    }
}

impl Drop for Deferred {
    fn drop(&mut self) {
        let data = *self.data.get_mut();
        if !data.is_null() {
            // SAFETY: By the type invariant. The stack puts the dentry, an entry does not.
            drop(unsafe { KBox::from_raw(data) });
        }
    }
}
