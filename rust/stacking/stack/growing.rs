// SPDX-License-Identifier: GPL-2.0

//! The dentries of an object in all layers, of a mount whose upper layer may become a lower one.
//!
//! There is one list with all of them, the upper one at the top, and each says of which layer it is: it is
//! *the* upper one as long as that layer is the mount's. So what makes all uppers lower ones is one
//! store, in the mount, and nothing has to be done for any inode. A copy up after that makes a new list,
//! with one entry more.
//!
//! A list that was replaced stays until the inode goes, because others look at it without a lock.
//! Where a copy up has replaced it its entries are in the new one, too. Where layers were put between or
//! taken away the new one says what a directory is made of now, and has references of its own.

use super::{
    held::Held,
    Entries,
    LowerEntry,
    LowerStack,
    Lowers,
    Now, //
};
use crate::{
    layers::RcuTop,
    mount::LayerMounts, //
};
use core::{
    cell::UnsafeCell,
    marker::PhantomData,
    mem,
    ptr::{
        self,
        NonNull, //
    },
    sync::atomic::{
        AtomicPtr,
        AtomicU32,
        AtomicU64,
        AtomicUsize,
        Ordering, //
    },
};
use kernel::prelude::*;
use vfs::{
    dentry::Dentry,
    Foreign,
    Ref, //
};

/// What an object was made of since some copy up.
struct List {
    entries: Held,
    /// Where these are.
    all: *const [LowerEntry],
    /// What shows of them as lower ones while the topmost one is the upper one, and else.
    below_upper: LowerStack<'static>,
    all_lower: LowerStack<'static>,
    /// The one before, or null.
    replaced: *mut List,
    /// The references of `entries` are not those of `replaced`.
    is_renewed: bool,
    /// The generation of the layers of which this is true, and that in which it was found first.
    generation: AtomicU32,
    made: AtomicU32,
}

/// Whether both have the same dentries, of the same layers.
fn is_same(left: &[LowerEntry], right: &[LowerEntry]) -> bool {
    let same = |(left, right): (&LowerEntry, &LowerEntry)| {
        left.dentry == right.dentry && left.layer == right.layer
    };
    left.len() == right.len() && left.iter().zip(right).all(same)
}

impl List {
    /// Found in these generations. Nothing shows of it before [`settle`](Self::settle).
    fn new(entries: Held, replaced: *mut List, (made, generation): (u32, u32)) -> Self {
        Self {
            entries,
            all: &[],
            below_upper: LowerStack::new(),
            all_lower: LowerStack::new(),
            replaced,
            is_renewed: false,
            generation: AtomicU32::new(generation),
            made: AtomicU32::new(made),
        }
    }

    /// Notes what shows of the entries, of a directory, or of another object. It must be neither moved nor borrowed
    /// mutably from here on.
    fn settle(&mut self, is_dir: bool) {
        // What a file was copied from has been copied.
        let shown = |entries: &[LowerEntry]| {
            let shown = match is_dir {
                true => entries,
                false => entries.get(..1).unwrap_or_default(),
            };
            // INVARIANT: The entries do not move or change before the list goes, and this goes with it.
            LowerStack(Entries::Part(ptr::from_ref(shown)), PhantomData)
        };
        let all = self.entries.as_slice();
        let below = all.split_first().map_or(&[][..], |(_, below)| below);
        (self.below_upper, self.all_lower) = (shown(below), shown(all));
        self.all = all;
    }

    /// All entries, topmost first.
    #[inline]
    fn all(&self) -> &[LowerEntry] {
        // SAFETY: They are part of this object, or of what it owns, and do not move or change before it goes.
        unsafe { &*self.all }
    }

    /// Its topmost entry `top` is the upper one.
    #[inline(always)]
    fn as_upper<'a>(&'a self, top: &'a LowerEntry) -> Now<'a> {
        Now {
            upper: Some(top.dentry()),
            upper_layer: top.layer(),
            lower: Lowers(&self.below_upper),
        }
    }

    /// All of it is below.
    #[inline(always)]
    fn as_lower(&self) -> Now<'_> {
        Now {
            upper: None,
            upper_layer: 0,
            lower: Lowers(&self.all_lower),
        }
    }

    /// Of a file whose topmost entry `top` is of a layer that is not the upper one: it may have been, and the file have no
    /// name. Then it is in no layer, and where it was made is where it stays.
    #[inline(never)]
    fn as_unnamed<'a>(&'a self, top: &'a LowerEntry, mounts: &LayerMounts) -> Now<'a> {
        let is_unnamed = mounts.was_upper(top.layer())
            && !mounts.is_gone(top.layer())
            && top.dentry().inode().is_some_and(|inode| inode.nlink() == 0);
        if is_unnamed {
            self.as_upper(top)
        } else {
            self.as_lower()
        }
    }

    fn generation(&self) -> u32 {
        // ORDERING: Acquire pairs with the Release in `renew`.
        self.generation.load(Ordering::Acquire)
    }
}

/// The dentries of one object in all layers.
///
/// # Invariants
///
/// - `list` is `first`, or comes from [`KBox::into_raw`] and is owned by this object, and so are all that are
///   reached from there by `replaced`, of which `first` is the last. They are not changed once they can be reached
///   but for their atomic members, and freed only with it. This object does not move once `list` is set.
/// - The references are those of the newest list, and of each that was replaced by one that
///   `is_renewed`. All entries of the others are also in the list that replaces it.
pub(super) struct Growing {
    list: AtomicPtr<List>,
    is_dir: bool,
    /// From this one on layers are or were the upper one, as is the one at 0.
    later: usize,
    /// See [`keep_number`](Self::keep_number).
    number: AtomicU64,
    fsid: AtomicUsize,
    /// In place, so that what does not change has one allocation.
    first: UnsafeCell<List>,
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
        let layer = upper
            .as_ref()
            .map_or(Ok(0), |(_, layer)| u16::try_from(*layer))?;
        let this = KBox::<Self>::new_uninit(GFP_KERNEL)?;
        // INVARIANT: The reference is `upper`, as long as that is there.
        let top = upper.as_ref().map(|(upper, _)| LowerEntry {
            dentry: NonNull::from(&**upper),
            layer,
        });
        let entries = Held::take(top, lower)?;
        // INVARIANT: The references are those of the list now: an entry does not put one.
        mem::forget(upper);
        let mut this = KBox::write(
            this,
            Self {
                list: AtomicPtr::new(ptr::null_mut()),
                is_dir,
                later: mounts.num_lower().saturating_add(1),
                number: AtomicU64::new(0),
                fsid: AtomicUsize::new(0),
                first: UnsafeCell::new(List::new(entries, ptr::null_mut(), (0, 0))),
            },
        );
        this.first.get_mut().settle(is_dir);
        // INVARIANT: There is one list. It is part of an allocation, and nobody moves it out of there.
        // ORDERING: Published with the inode.
        this.list.store(this.first.get(), Ordering::Relaxed);
        Ok(this)
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

    #[inline(always)]
    fn list(&self) -> &List {
        // ORDERING: Acquire pairs with the Release in `publish`: the list is complete.
        let list = self.list.load(Ordering::Acquire);
        // SAFETY: By the type invariant it lives as long as `self`, and is not changed.
        unsafe { &*list }
    }

    /// All entries, topmost first.
    #[inline]
    pub(super) fn all(&self) -> &[LowerEntry] {
        self.list().all()
    }

    /// What RCU walk sees: the topmost dentry, its layer, and whether that is or was the upper one.
    // For each component of each path; most callers need a part of it.
    #[inline(always)]
    pub(super) fn rcu_top(&self) -> Option<RcuTop> {
        let top = self.all().first()?;
        Some(RcuTop {
            dentry: top.dentry().as_raw(),
            layer: top.layer(),
            is_own: self.is_own(top),
        })
    }

    /// What is the upper dentry now, and what the lower ones.
    ///
    /// Without the lock that keeps the layers from changing this is what was so at one moment.
    // Inside of one function that is called from all over.
    #[inline(always)]
    pub(super) fn now(&self, mounts: &LayerMounts) -> Now<'_> {
        // The list first: a layer that it names has become the upper one before. With an older list
        // that is so as well, as what was made since shows the same.
        let list = self.list();
        let Some(top) = list.all().first() else {
            return list.as_lower();
        };
        if top.layer() == mounts.upper_index() {
            return list.as_upper(top);
        }
        if self.is_dir || !self.is_own(top) {
            return list.as_lower();
        }
        list.as_unnamed(top, mounts)
    }

    /// Whether `top` is of a layer that came after the mount, or was the upper one of it.
    #[inline(always)]
    fn is_own(&self, top: &LowerEntry) -> bool {
        top.layer() == 0 || top.layer() >= self.later
    }

    /// Puts `upper` of layer `layer` on top of what there is.
    ///
    /// Returns `ENOMEM`, and `EEXIST` where something of this layer is at the top already. The dentry is put then.
    pub(super) fn publish(&self, upper: Ref<'_, Dentry<Foreign>>, layer: usize) -> Result {
        let layer = u16::try_from(layer)?;
        loop {
            // ORDERING: Acquire, see `list`.
            let old = self.list.load(Ordering::Acquire);
            // SAFETY: As in `list`.
            let below = unsafe { &*old };
            let entries = below.all();
            if entries.first().is_some_and(|top| top.layer == layer) {
                return Err(EEXIST);
            }
            let list = KBox::<List>::new_uninit(GFP_KERNEL)?;
            // INVARIANT: The reference is `upper`, which is passed on if the list becomes the newest.
            let top = LowerEntry {
                dentry: NonNull::from(&*upper),
                layer,
            };
            let entries = Held::of(Some(top), entries)?;
            // ORDERING: Published with the list.
            let made = below.made.load(Ordering::Relaxed);
            let new = List::new(entries, old, (made, below.generation()));
            let mut new = KBox::write(list, new);
            new.settle(self.is_dir);
            // INVARIANT: All entries of `old` are in the new one, with the references, and `old` is reached
            // from there.
            if self.replace(old, new).is_ok() {
                mem::forget(upper);
                return Ok(());
            }
        }
    }

    /// Makes `new` the newest list, if `old` is that. Returns it if not.
    fn replace(&self, old: *mut List, new: KBox<List>) -> Result<(), KBox<List>> {
        let new = KBox::into_raw(new);
        // ORDERING: Release, see `list`. On failure nothing is read through the pointer.
        let stored = self
            .list
            .compare_exchange(old, new, Ordering::Release, Ordering::Relaxed);
        // SAFETY: Comes from `into_raw` above and was not stored.
        stored.map(drop).map_err(|_| unsafe { KBox::from_raw(new) })
    }

    /// Takes over what a directory, or another object, is made of in `generation`, which is `upper` and `lower`.
    ///
    /// Returns whether that is something else than it was. What somebody else has found in that generation, or a
    /// later one, stays. Returns `ENOMEM`.
    pub(super) fn renew(
        &self,
        upper: Option<(Ref<'_, Dentry<Foreign>>, usize)>,
        lower: &mut LowerStack<'_>,
        generation: u32,
    ) -> Result<bool> {
        let list = KBox::<List>::new_uninit(GFP_KERNEL)?;
        let layer = upper
            .as_ref()
            .map_or(Ok(0), |(_, layer)| u16::try_from(*layer))?;
        // INVARIANT: The references are `upper` and those of `lower`, as long as these are there.
        let top = upper.as_ref().map(|(upper, _)| LowerEntry {
            dentry: NonNull::from(&**upper),
            layer,
        });
        let entries = Held::of(top, lower.as_slice())?;
        // ORDERING: Acquire, see `list`.
        let mut old = self.list.load(Ordering::Acquire);
        let new = List::new(entries, old, (generation, generation));
        let mut new = KBox::write(list, new);
        new.is_renewed = true;
        loop {
            // SAFETY: As in `list`.
            let known = unsafe { &*old };
            let before = known.generation();
            if before >= generation {
                return Ok(false);
            }
            if is_same(known.all(), new.entries.as_slice()) {
                // ORDERING: Release, see `List::generation`.
                let _ = known.generation.compare_exchange(
                    before,
                    generation,
                    Ordering::Release,
                    Ordering::Relaxed,
                );
                return Ok(false);
            }
            new.replaced = old;
            new.settle(self.is_dir);
            match self.replace(old, new) {
                Ok(()) => break,
                Err(refused) => new = refused,
            }
            // ORDERING: Acquire, see `list`.
            old = self.list.load(Ordering::Acquire);
        }
        // INVARIANT: The references are those of the new list now, which is a renewed one: an entry does not put
        // one.
        mem::forget(upper);
        drop(mem::replace(&mut lower.0, Entries::None));
        Ok(true)
    }

    /// Notes that what an object is made of is true of `generation`, too.
    pub(super) fn confirm(&self, generation: u32) {
        // ORDERING: Release, see `List::generation`.
        self.list()
            .generation
            .fetch_max(generation, Ordering::Release);
    }

    /// The generation of the layers of which the newest list is true, and that in which it was found first.
    pub(super) fn generations(&self) -> (u32, u32) {
        let list = self.list();
        // ORDERING: Published with the list.
        (list.generation(), list.made.load(Ordering::Relaxed))
    }

    /// Notes the generation in which an object that nobody else sees yet was found.
    pub(super) fn set_generation(&self, generation: u32) {
        let list = self.list();
        // ORDERING: Published with the inode.
        list.generation.store(generation, Ordering::Relaxed);
        list.made.store(generation, Ordering::Relaxed);
    }

    /// Puts all dentries, and leaves the memory as it is.
    ///
    /// # Safety
    ///
    /// To be called once. Afterwards only RCU walk may look at the lists.
    pub(super) unsafe fn put_dentries(&self) {
        let mut next: *const List = self.list();
        let mut owns = true;
        while !next.is_null() {
            // SAFETY: By the type invariant it lives as long as `self`.
            let list = unsafe { &*next };
            for entry in list.all().iter().filter(|_| owns) {
                // SAFETY: By the type invariant the references are those of this list.
                drop(unsafe { Ref::from_raw(entry.dentry) });
            }
            owns = list.is_renewed;
            next = list.replaced;
        }
    }
}

impl Drop for Growing {
    fn drop(&mut self) {
        let mut list = *self.list.get_mut();
        // The first one is part of this.
        while !ptr::eq(list, self.first.get()) {
            // SAFETY: By the type invariant it is owned, and nobody can reach it any more. Entries do not
            // put their references: the stack does.
            let freed = unsafe { KBox::from_raw(list) };
            list = freed.replaced;
        }
    }
}
