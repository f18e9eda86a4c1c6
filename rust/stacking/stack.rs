// SPDX-License-Identifier: GPL-2.0

//! What a stacked inode knows of its layers.
//!
//! The upper dentry appears once, at copy up; the stack of lower dentries is set before the inode
//! is published and does not change, but that the one with the data of a file may appear later. All
//! are read by RCU walk without a reference on the inode.
//!
//! Security tools read the upper dentry at the address right behind `struct inode`, therefore it
//! is the first member here, and `vfs` puts this structure right behind the inode.

mod confirm;
mod deferred;
mod growing;
mod held;
mod inode;
mod view;

pub use inode::{
    StackedInode,
    StackedNewInode, //
};
pub use view::{
    Lowers,
    Now, //
};

use crate::{
    layers::{
        self,
        RcuTop,
        Stacked, //
    },
    mount::LayerMounts,
    revalidate::{
        self,
        revalidate_layers, //
    },
    trap::Traps, //
};
use core::{
    marker::PhantomData,
    mem::{
        self,
        ManuallyDrop, //
    },
    ptr::{
        self,
        NonNull, //
    },
};
use deferred::Deferred;
use growing::Growing;
use kernel::prelude::*;
use vfs::{
    bindings,
    dentry::Dentry,
    layers::Layers,
    publish::Once,
    FileSystem,
    Foreign,
    Ref, //
};

/// A dentry in one lower layer, with the index of the layer.
///
/// # Invariants
///
/// `dentry` is a dentry on which the [`LowerStack`] that holds this entry owns a reference.
pub struct LowerEntry {
    dentry: NonNull<Dentry<Foreign>>,
    layer: u16,
}

impl LowerEntry {
    /// The same once more, which does not own the reference.
    fn alias(&self) -> Self {
        // INVARIANT: Whoever asks keeps it in an object that is there no longer than the one that owns
        // the reference.
        Self {
            dentry: self.dentry,
            layer: self.layer,
        }
    }

    /// The dentry.
    #[inline]
    pub fn dentry(&self) -> &Dentry<Foreign> {
        // SAFETY: By the type invariant; the borrow of the entry borrows the stack, because entries
        // are neither made nor copied outside of it.
        unsafe { self.dentry.as_ref() }
    }

    /// The index of the layer: of those that a mount was made with 1 is the topmost lower one.
    #[inline]
    pub fn layer(&self) -> usize {
        usize::from(self.layer)
    }
}

/// Where the entries are: one is stored in place, so that a lookup that finds one allocates nothing.
enum Entries {
    None,
    One([LowerEntry; 1]),
    Many(KVec<LowerEntry>),
    Deferred(KBox<Deferred>),
    /// Of all layers, the upper one among them, of a mount whose layers change.
    Growing(KBox<Growing>),
    /// Some of those, whose references they are. What is pointed to is there longer than this, and is not changed.
    Part(*const [LowerEntry]),
}

/// The lower dentries of one object, topmost first, of file systems that stay mounted for `'a`.
pub struct LowerStack<'a>(Entries, PhantomData<&'a ()>);

// SAFETY: Dentries may be used and put in any task.
unsafe impl Send for LowerStack<'_> {}
// SAFETY: A shared reference only reads, and dentries are `Sync`.
unsafe impl Sync for LowerStack<'_> {}

impl<'a> LowerStack<'a> {
    /// A stack without layers.
    pub const fn new() -> Self {
        Self(Entries::None, PhantomData)
    }

    /// A stack without layers, with room for so many. Returns `ENOMEM`.
    pub fn with_capacity(layers: usize) -> Result<Self> {
        if layers <= 1 {
            return Ok(Self::new());
        }
        let many = KVec::with_capacity(layers, GFP_KERNEL)?;
        Ok(Self(Entries::Many(many), PhantomData))
    }

    /// Moves the entries to an allocation of their size, if that is so much smaller that the allocator
    /// has a smaller object for it: its sizes are two and three times a power of two.
    ///
    /// The entries stay where they are if there is no memory for the smaller one.
    #[inline]
    pub fn trim(&mut self) {
        match &mut self.0 {
            Entries::Many(many) if many.capacity() >= 8 => trim(many),
            _ => {}
        }
    }

    /// Adds a dentry of layer `layer` at the bottom. Returns `ENOMEM`, and puts the dentry then.
    #[inline]
    pub fn push(&mut self, dentry: Ref<'a, Dentry<Foreign>>, layer: usize) -> Result {
        let layer = u16::try_from(layer)?;
        let Entries::None = &self.0 else {
            return self.push_below(dentry, layer);
        };
        // INVARIANT: The reference is passed on to the stack.
        let dentry = Ref::into_raw(dentry);
        self.set_fixed(Entries::One([LowerEntry { dentry, layer }]));
        Ok(())
    }

    /// See [`push`](Self::push). There is something already.
    fn push_below(&mut self, dentry: Ref<'a, Dentry<Foreign>>, layer: u16) -> Result {
        match &mut self.0 {
            Entries::One([first]) => {
                let mut many = KVec::with_capacity(4, GFP_KERNEL)?;
                // INVARIANT: The reference is passed on to the new entry when `self.0` is replaced.
                let first = first.alias();
                // INVARIANT: The reference is passed on to the stack; there is room for both.
                let dentry = Ref::into_raw(dentry);
                let _ = many.push_within_capacity(first);
                let _ = many.push_within_capacity(LowerEntry { dentry, layer });
                self.set_fixed(Entries::Many(many));
            }
            Entries::Many(many) => {
                many.reserve(1, GFP_KERNEL)?;
                // INVARIANT: As above.
                let dentry = Ref::into_raw(dentry);
                let _ = many.push_within_capacity(LowerEntry { dentry, layer });
            }
            _ => return Err(EINVAL),
        }
        Ok(())
    }

    /// Replaces none or one entry, which own no memory: that is not looked at again.
    #[inline]
    fn set_fixed(&mut self, entries: Entries) {
        mem::forget(mem::replace(&mut self.0, entries));
    }

    /// Says that below the one entry there is the data of a file, which is looked for when it is
    /// first needed: `place` tells whoever looks for it where it is.
    ///
    /// Returns `EINVAL` unless there is exactly one entry.
    pub fn defer_data(&mut self, place: KVec<u8>) -> Result {
        let Entries::One([top]) = &self.0 else {
            return Err(EINVAL);
        };
        // INVARIANT: The reference is passed on to the new entry when `self.0` is replaced.
        let top = LowerEntry {
            dentry: top.dentry,
            layer: top.layer,
        };
        self.0 = Entries::Deferred(KBox::new(Deferred::new(top, place), GFP_KERNEL)?);
        Ok(())
    }

    /// The entries, topmost first, without one that was found after the inode was published.
    #[inline]
    pub fn as_slice(&self) -> &[LowerEntry] {
        match &self.0 {
            Entries::None => &[],
            Entries::One(one) => one,
            Entries::Many(many) => many,
            Entries::Deferred(deferred) => deferred.top(),
            Entries::Growing(_) | Entries::Part(_) => self.changing(),
        }
    }

    /// The entries where layers change, apart, so that others do not pay for it.
    #[cold]
    #[inline(never)]
    fn changing(&self) -> &[LowerEntry] {
        match &self.0 {
            Entries::Growing(growing) => growing.all(),
            // SAFETY: By the invariant of the variant.
            Entries::Part(part) => unsafe { &**part },
            _ => &[],
        }
    }

    /// See [`Lowers::is_merged`].
    #[inline]
    fn is_merged(&self) -> bool {
        match &self.0 {
            Entries::None | Entries::One(_) => false,
            Entries::Many(many) => many.len() > 1,
            Entries::Deferred(_) => true,
            Entries::Growing(_) | Entries::Part(_) => self.changing().len() > 1,
        }
    }

    /// Where the data of a file is looked for later.
    #[inline]
    fn deferred(&self) -> Option<&Deferred> {
        match &self.0 {
            Entries::Deferred(deferred) => Some(deferred),
            _ => None,
        }
    }

    /// The entry that was found after the inode was published.
    #[inline]
    fn late(&self) -> Option<&LowerEntry> {
        self.deferred()?.data()
    }

    /// The entries, topmost first, with the one that has the data of a file also where it was found
    /// after the inode was published.
    #[inline]
    fn iter_found(&self) -> impl Iterator<Item = &LowerEntry> {
        Iterator::chain(self.as_slice().iter(), self.late())
    }

    /// The number of layers, without one that is looked for when it is needed.
    #[inline]
    pub fn len(&self) -> usize {
        self.as_slice().len()
    }

    /// Whether there is no layer.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.as_slice().is_empty()
    }

    /// The topmost entry.
    #[inline]
    pub fn first(&self) -> Option<&LowerEntry> {
        self.as_slice().first()
    }

    /// Puts the dentries and leaves the memory as it is.
    ///
    /// # Safety
    ///
    /// To be called once. Afterwards only RCU walk may look at the stack, and it must not be
    /// dropped: see [`LayerStack::free`].
    unsafe fn put_dentries(&self) {
        match &self.0 {
            Entries::Part(_) => return,
            // SAFETY: By the safety requirements.
            Entries::Growing(growing) => return unsafe { growing.put_dentries() },
            _ => {}
        }
        for entry in self.iter_found() {
            // SAFETY: By the type invariant of the entry the stack owns this reference.
            drop(unsafe { Ref::from_raw(entry.dentry) });
        }
    }
}

/// Moves entries to an allocation of their size, see [`LowerStack::trim`].
#[cold]
fn trim(many: &mut KVec<LowerEntry>) {
    if many.len() > many.capacity() / 4 * 3 {
        return;
    }
    let Ok(mut trimmed) = KVec::with_capacity(many.len(), GFP_KERNEL) else {
        return;
    };
    // Entries do not put their references when they are dropped, so that moving them needs no
    // more than this; there is room for all.
    for entry in mem::replace(many, KVec::new()) {
        let _ = trimmed.push(entry, GFP_KERNEL);
    }
    *many = trimmed;
}

impl Default for LowerStack<'_> {
    fn default() -> Self {
        Self::new()
    }
}

impl Drop for LowerStack<'_> {
    #[inline]
    fn drop(&mut self) {
        if let Entries::None = self.0 {
            return;
        }
        // SAFETY: Dropped once, and nothing looks at it afterwards.
        unsafe { self.put_dentries() };
    }
}

/// The layers of an inode: an upper one, and a stack of lower ones.
///
/// # Invariants
///
/// - `lower` does not change after the inode was published, but for an entry that appears once, and
///   but for one of a mount whose layers change. Where it grows all dentries are there, and `upper` has another
///   reference on the first one that was.
/// - All dentries are of file systems of the super block's mounts, see [`FileSystem::mounts`].
/// - Dropping neither member puts dentries: [`put`](Layers::put) does.
#[repr(C)]
pub struct LayerStack {
    upper: ManuallyDrop<Once<Dentry<Foreign>>>,
    lower: ManuallyDrop<LowerStack<'static>>,
}

impl LayerStack {
    /// Sets the lower layers of an inode that nobody else sees yet.
    fn set_lower(&mut self, mut lower: LowerStack<'_>) {
        // How long they stay mounted is now said by the invariant of this type. The old stack, which
        // is dropped here, is mostly the empty one.
        mem::swap(&mut self.lower.0, &mut lower.0);
    }

    /// The list of all layers, where they change.
    #[inline]
    fn growing(&self) -> Option<&Growing> {
        match &self.lower.0 {
            Entries::Growing(growing) => Some(growing),
            _ => None,
        }
    }

    /// Makes `upper` of layer `layer` visible.
    ///
    /// Returns `EEXIST`, and puts it, where there is an upper dentry already.
    ///
    /// # Safety
    ///
    /// By the type invariant it must be of the file system of the mount of that layer.
    unsafe fn publish_upper(&self, upper: Ref<'_, Dentry<Foreign>>, layer: usize) -> Result {
        if let Entries::Growing(growing) = &self.lower.0 {
            growing.publish(upper.clone(), layer)?;
            // What tools find is the first one.
            // SAFETY: As below.
            let _ = unsafe { self.upper.publish_ref(upper) };
            return Ok(());
        }
        // SAFETY: By the safety requirements: that mount is there longer than the inode.
        unsafe { self.upper.publish_ref(upper) }
    }
}

// SAFETY: By the type invariant. Dentries are freed a grace period after they were put, as RCU walk
// needs them; only that looks at them after that.
unsafe impl Layers for LayerStack {
    const STACKING: bool = true;

    type Mounts = LayerMounts;

    type Kept = Traps;

    fn rely_on(kept: &mut Traps, mounts: &Self::Mounts) -> Result {
        kept.rely_on::<Self>(mounts)
    }

    unsafe fn end(mounts: &LayerMounts) -> bool {
        // SAFETY: By the safety requirements.
        unsafe { mounts.end() }
    }

    #[inline]
    fn always_asks(mounts: &LayerMounts) -> bool {
        mounts.may_grow()
    }

    #[inline]
    fn is_current(mounts: &LayerMounts, word: usize) -> bool {
        revalidate::generation_of(word) == mounts.generation()
    }

    #[inline]
    fn is_only_current(word: usize) -> bool {
        revalidate::is_only_current(word)
    }

    unsafe fn confirm<F: FileSystem<Layers = Self>>(dentry: *mut bindings::dentry) -> bool {
        // SAFETY: By the safety requirements.
        unsafe { confirm::confirm::<F>(dentry) }
    }

    fn depth(mounts: &LayerMounts) -> u32 {
        let mounts = (0..=mounts.num_lower()).filter_map(|layer| mounts.get(layer));
        let depths = mounts.map(|mount| mount.sb().stack_depth().saturating_add(1));
        depths.max().unwrap_or(0)
    }

    fn new() -> Self {
        Self {
            upper: ManuallyDrop::new(Once::new()),
            lower: ManuallyDrop::new(LowerStack::new()),
        }
    }

    #[inline]
    unsafe fn revalidate<F: FileSystem<Layers = Self>>(
        dentry: *mut bindings::dentry,
        flags: u32,
        weak: bool,
    ) -> Result<c_int> {
        // SAFETY: By the safety requirements.
        unsafe { revalidate_layers::<F>(dentry, flags, weak) }
    }

    unsafe fn put(&self) {
        if let Some(upper) = self.upper.get() {
            // SAFETY: `upper` owns this reference and is never dropped. The pointer stays: RCU walk
            // may still read it, and a dentry is freed only after a grace period.
            drop(unsafe { Dentry::<Foreign>::from_raw_owned(upper.as_raw()) });
        }
        // SAFETY: By the safety requirements.
        unsafe { self.lower.put_dentries() };
    }

    unsafe fn free(&mut self) {
        let lower: *mut LowerStack<'_> = &mut *self.lower;
        // SAFETY: `LowerStack` has a `Drop` that would put the dentries a second time, so only its
        // member is dropped, which frees memory; entries need no drop.
        unsafe { ptr::drop_in_place(&raw mut (*lower).0) };
    }
}

// SAFETY: The dentries are those of the two members, which own the references.
unsafe impl Stacked for LayerStack {
    fn keeps(mounts: &LayerMounts, dentry: &Dentry<Foreign>) -> bool {
        (0..=mounts.num_lower()).any(|layer| check(mounts, dentry, layer).is_ok())
    }

    fn rcu_dentries(&self) -> impl Iterator<Item = *mut bindings::dentry> + '_ {
        let upper = self.upper.get().map(Dentry::as_raw);
        let lower = self.lower.iter_found();
        Iterator::chain(
            upper.into_iter(),
            lower.map(|entry| entry.dentry().as_raw()),
        )
    }

    #[inline]
    fn rcu_top(&self) -> Option<RcuTop> {
        match &self.lower.0 {
            Entries::Growing(growing) => growing.rcu_top(),
            _ => self.fixed_rcu_top(),
        }
    }

    #[inline]
    fn fixed_rcu_top(&self) -> Option<RcuTop> {
        if let Some(upper) = self.upper.get() {
            if let Entries::Growing(_) = &self.lower.0 {
                return None;
            }
            return Some(RcuTop {
                dentry: upper.as_raw(),
                layer: 0,
                is_own: true,
            });
        }
        let first = match &self.lower.0 {
            Entries::None | Entries::Growing(_) | Entries::Part(_) => return None,
            Entries::One([one]) => one,
            Entries::Many(many) => many.first()?,
            Entries::Deferred(deferred) => deferred.top().first()?,
        };
        Some(RcuTop {
            dentry: first.dentry().as_raw(),
            layer: first.layer(),
            is_own: false,
        })
    }
}

/// Refuses a dentry that is not of the file system of layer `layer`.
#[inline]
fn check(mounts: &LayerMounts, dentry: &Dentry<Foreign>, layer: usize) -> Result {
    layers::check(mounts.get(layer).ok_or(EXDEV)?, dentry)
}
