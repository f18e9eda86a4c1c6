// SPDX-License-Identifier: GPL-2.0

//! Revalidation of dentries by those of their layers.

use crate::layers::{
    RcuTop,
    Stacked, //
};
use core::ptr;
use kernel::prelude::*;
use vfs::{
    bindings,
    dentry::Dentry,
    inode::RcuInode,
    layers::Layers as _,
    super_block::NewSuperBlock,
    FileSystem,
    Foreign, //
};

/// The flags with which a dentry asks for `d_revalidate` and `d_weak_revalidate`.
const REVALIDATE: u32 =
    bindings::dentry_flags_DCACHE_OP_REVALIDATE | bindings::dentry_flags_DCACHE_OP_WEAK_REVALIDATE;

/// The bit of the word in `d_fsdata` that says that no layer asks for a revalidation.
const ONLY_WATCHED: u32 = usize::BITS - 1;

/// The bit of that word that says, of a dentry that asks always, that the generation of the layers is all there is
/// to be asked.
const ONLY_CURRENT: u32 = usize::BITS - 2;

/// The bits of that word with the generation of the layers in which the dentry was found, where they change.
const GENERATION_SHIFT: u32 = 24;
const GENERATION_MASK: usize = 0xffff_ffff << GENERATION_SHIFT;

/// Of the bits of that word that a file system has for itself, those of a dentry that is looked up again whenever the
/// layers have become others.
pub const LOOKED_UP_AGAIN: usize = 1 << 5 | 1 << 6;

/// The generation of the layers in which a dentry with `word` in `d_fsdata` was found.
#[inline]
pub(crate) fn generation_of(word: usize) -> u32 {
    // CAST: so many bits.
    ((word & GENERATION_MASK) >> GENERATION_SHIFT) as u32
}

/// `word` of a dentry that was found in `generation`.
#[inline]
pub(crate) fn with_generation(word: usize, generation: u32) -> usize {
    // CAST: 32 bits of a word.
    (word & !GENERATION_MASK) | ((generation as usize) << GENERATION_SHIFT & GENERATION_MASK)
}

/// Whether a dentry with `word` in `d_fsdata`, which asks always, has nothing to ask but the generation.
#[inline]
pub(crate) fn is_only_current(word: usize) -> bool {
    word & 1 << ONLY_CURRENT != 0
}

/// `d_flags`.
fn flags<F>(dentry: &Dentry<F>) -> u32 {
    // SAFETY: Valid by the type invariant; a racy read of an integer, as in C.
    unsafe { (&raw const (*dentry.as_raw()).d_flags).read_volatile() }
}

/// A dentry whose layers may want to be asked.
pub trait Revalidation {
    /// Sets `DCACHE_OP_REVALIDATE` and `DCACHE_OP_WEAK_REVALIDATE` if a dentry of the layers has it,
    /// and clears it otherwise, so that the VFS revalidates this dentry only where that has an effect.
    ///
    /// Does nothing in a file system without dentry operations, see
    /// [`NewSuperBlock::set_dentry_operations`](vfs::super_block::NewSuperBlock::set_dentry_operations).
    fn init_revalidation<'a>(&self, layers: impl Iterator<Item = &'a Dentry<Foreign>>);

    /// Sets `DCACHE_OP_REVALIDATE`, so that a lookup notices if the topmost object, in a lower layer,
    /// was removed from there behind our back. To be called after
    /// [`init_revalidation`](Self::init_revalidation), which clears it; without dentry operations it
    /// does nothing, either.
    ///
    /// A mount point stays, and so does a directory in which something is used.
    fn watch_lower(&self);

    /// As [`init_revalidation`](Self::init_revalidation), for the root: `DCACHE_OP_WEAK_REVALIDATE`
    /// only, because the root is never looked up by name.
    fn init_weak_revalidation<'a>(&self, layers: impl Iterator<Item = &'a Dentry<Foreign>>);

    /// Takes back what [`watch_lower`](Self::watch_lower) has set, for a name that is removed: its
    /// directory is locked, or it is being made.
    fn unwatch_lower(&self);

    /// Sets the flags of [`init_revalidation`](Self::init_revalidation) that one more dentry of a
    /// layer has.
    fn add_revalidation(&self, layer: &Dentry<Foreign>);

    /// Whether the VFS asks for a revalidation, of which the layers are asked. A negative dentry must not have it do
    /// so.
    fn is_revalidated(&self) -> bool;

    /// The generation of the layers in which it was found; 0 where they do not change.
    fn found_in(&self) -> u32;

    /// Takes it for what it was found to be, where that can be told of the layers that there are now without asking
    /// them, as its directory is what it was. Returns whether that is so.
    fn confirm(&self) -> bool;

    /// Sets `bits` in its word, unless it was found in `generation` or a later one. Returns whether it was not.
    fn mark_found_before(&self, generation: u32, bits: usize) -> bool;

    /// Replaces the bits of `mask` in its word by those in `bits`, and says that it was found in `generation`; but
    /// for one that was found in this or a later generation already. Returns whether it was not.
    fn set_found_in(&self, generation: u32, mask: usize, bits: usize) -> bool;
}

/// Whether all dentries of the file system ask for a revalidation.
fn always_asks<F: FileSystem>(dentry: &Dentry<F>) -> bool {
    F::Layers::always_asks(F::mounts(dentry.sb().data()))
}

/// Of a dentry that asks always: whether, beside the generation of the layers, these are asked, or it is looked whether
/// the lower object is still there.
fn set_asked<F: FileSystem>(dentry: &Dentry<F>, by_layers: bool, is_watched: bool) {
    let bit = |bit: u32, on: bool| usize::from(on) << bit;
    let bits = bit(ONLY_CURRENT, !by_layers && !is_watched) | bit(ONLY_WATCHED, is_watched);
    let all = bit(ONLY_CURRENT, true) | bit(ONLY_WATCHED, true);
    dentry.change_flag_word(|word| (word & !all) | bits);
}

/// A super block whose dentries ask for a revalidation only where a layer wants it.
pub trait RevalidatesOnDemand {
    /// Lets dentries begin without `DCACHE_OP_REVALIDATE` and `DCACHE_OP_WEAK_REVALIDATE`, which the
    /// operations of dentries, set before, have all of them begin with. So
    /// [`init_revalidation`](Revalidation::init_revalidation) has nothing to change, and no lock to
    /// take, where no layer has them.
    fn revalidate_on_demand(&mut self);
}

impl<F: FileSystem> RevalidatesOnDemand for NewSuperBlock<'_, F> {
    fn revalidate_on_demand(&mut self) {
        // SAFETY: Valid by the type invariant, and nobody else uses a member of what is being filled.
        let flags = unsafe { &mut (*self.as_raw()).s_d_flags };
        *flags &= !REVALIDATE;
    }
}

impl<F: FileSystem> Revalidation for Dentry<F> {
    fn init_revalidation<'a>(&self, layers: impl Iterator<Item = &'a Dentry<Foreign>>) {
        let flags = layers.fold(0, |all, dentry| all | flags(dentry));
        if always_asks(self) {
            set_asked(self, flags & REVALIDATE != 0, false);
        } else {
            replace_revalidation(self, REVALIDATE, flags);
        }
    }

    fn watch_lower(&self) {
        if always_asks(self) {
            if self.test_flag(ONLY_CURRENT) {
                set_asked(self, false, true);
            }
            return;
        }
        let flag = bindings::dentry_flags_DCACHE_OP_REVALIDATE;
        if flags(self) & flag == 0 {
            self.set_flag(ONLY_WATCHED);
            replace_revalidation(self, flag, flag);
        }
    }

    fn init_weak_revalidation<'a>(&self, layers: impl Iterator<Item = &'a Dentry<Foreign>>) {
        let flags = layers.fold(0, |all, dentry| all | flags(dentry));
        if always_asks(self) {
            set_asked(self, flags & REVALIDATE != 0, false);
            return;
        }
        replace_revalidation(
            self,
            bindings::dentry_flags_DCACHE_OP_WEAK_REVALIDATE,
            flags,
        );
    }

    fn unwatch_lower(&self) {
        if self.test_flag(ONLY_WATCHED) {
            if always_asks(self) {
                set_asked(self, false, false);
                return;
            }
            replace_revalidation(self, bindings::dentry_flags_DCACHE_OP_REVALIDATE, 0);
            self.clear_flag(ONLY_WATCHED);
        }
    }

    fn is_revalidated(&self) -> bool {
        flags(self) & REVALIDATE != 0 && !self.test_flag(ONLY_CURRENT)
    }

    fn found_in(&self) -> u32 {
        generation_of(self.flag_word())
    }

    fn confirm(&self) -> bool {
        // SAFETY: A reference is one of a dentry in use.
        unsafe { F::Layers::confirm::<F>(self.as_raw()) }
    }

    fn mark_found_before(&self, generation: u32, bits: usize) -> bool {
        self.change_flag_word_if(|word| {
            let is_older = generation_of(word) < generation;
            is_older.then_some(word | bits & !GENERATION_MASK)
        })
    }

    fn set_found_in(&self, generation: u32, mask: usize, bits: usize) -> bool {
        self.change_flag_word_if(|word| {
            let is_older = generation_of(word) < generation;
            is_older.then(|| with_generation((word & !mask) | (bits & mask), generation))
        })
    }

    fn add_revalidation(&self, layer: &Dentry<Foreign>) {
        if layer.is_remote() && always_asks(self) {
            set_asked(self, true, false);
        } else if layer.is_remote() {
            replace_revalidation(self, flags(layer) & REVALIDATE, REVALIDATE);
        }
    }
}

/// Sets those of the flags in `mask` that are in `wanted`, and clears the others of `mask`. Nobody else
/// changes these flags of a dentry that is being looked up, made or removed.
fn replace_revalidation<F>(dentry: &Dentry<F>, mask: u32, wanted: u32) {
    if flags(dentry) & mask == wanted & mask {
        return;
    }
    // SAFETY: Valid by the type invariant; constant since the dentry was made.
    if unsafe { (*dentry.as_raw()).d_op }.is_null() {
        // The VFS would call what the flags ask for without a look whether it is there.
        return;
    }
    // SAFETY: Valid by the type invariant, and all tables of operations have these.
    unsafe { bindings::rvfs_d_replace_flags(dentry.as_raw(), mask, wanted) };
}

/// Whether the object that shows is in a lower layer, and was removed there.
#[inline]
fn is_lower_removed<L: Stacked>(layers: &L) -> bool {
    layers.rcu_top().is_some_and(|top| is_removed(&top))
}

/// Whether an object is in a lower layer, and was removed there.
#[inline]
fn is_removed(top: &RcuTop) -> bool {
    let RcuTop { dentry, .. } = *top;
    if top.is_own {
        return false;
    }
    // SAFETY: The dentry is freed only a grace period after the inode put it; a racy read of a pointer
    // that is only compared, as `d_unhashed()`.
    let pprev = unsafe { (&raw const (*dentry).d_hash.pprev).read_volatile() };
    // What was found by a file handle is not hashed either, as long as it has no name.
    // SAFETY: As above, of an integer.
    let flags = || unsafe { (&raw const (*dentry).d_flags).read_volatile() };
    pprev.is_null() && flags() & bindings::dentry_flags_DCACHE_DISCONNECTED == 0
}

/// Revalidation of a stacked dentry: as long as all of its layers are valid, it is too.
///
/// The calls are made here, and not by the file system, because in RCU walk neither the overlay dentry nor those
/// of the layers may be referenced.
///
/// # Safety
///
/// `dentry` must be a dentry of `F` as the VFS passes it with `flags`: without a reference in RCU walk.
#[inline]
pub(crate) unsafe fn revalidate_layers<F: FileSystem>(
    dentry: *mut bindings::dentry,
    flags: u32,
    weak: bool,
) -> Result<c_int>
where
    F::Layers: Stacked,
{
    // SAFETY: `dentry` is valid for the callback, in RCU walk at least until the end of the RCU
    // section; `d_inode` is read once.
    let inode = unsafe { (&raw const (*dentry).d_inode).read_volatile() };
    if inode.is_null() {
        // Only a race with the end of the dentry, or with a lookup, shows a negative one here.
        return Err(ECHILD);
    }
    // SAFETY: The inode of a dentry that is in use or seen under RCU is not freed before the end
    // of this RCU section or of the caller's reference.
    let inode = unsafe { RcuInode::<F>::from_raw(inode) };
    // SAFETY: As for `inode`; a racy read of a word, as `test_bit()`.
    let word = unsafe { (&raw const (*dentry).d_fsdata).read_volatile() };
    let only_watched = !weak && word.addr() & (1 << ONLY_WATCHED) != 0;
    if only_watched {
        let top = inode.layers().fixed_rcu_top();
        if top.is_some_and(|top| !is_removed(&top)) {
            // What each walk over a lower file comes to.
            return Ok(1);
        }
    }
    // SAFETY: By the safety requirements.
    unsafe { ask_layers(dentry, inode, flags, weak) }
}

/// What [`revalidate_layers`] has to do where more is to be looked at than whether a lower object is still
/// there.
///
/// # Safety
///
/// As for that. `inode` must be that of `dentry`.
#[inline(never)]
unsafe fn ask_layers<F: FileSystem>(
    dentry: *mut bindings::dentry,
    inode: RcuInode<'_, F>,
    flags: u32,
    weak: bool,
) -> Result<c_int>
where
    F::Layers: Stacked,
{
    let in_rcu_walk = flags & bindings::rvfs_const_RVFS_LOOKUP_RCU != 0;
    // Without the flag the dentry is referenced, and this may sleep.
    // SAFETY: By the safety requirements.
    let is_in_use = || unsafe { bindings::rvfs_d_is_in_use(dentry, ptr::null()) };
    if !weak {
        if is_lower_removed(inode.layers()) {
            if in_rcu_walk {
                return Err(ECHILD);
            }
            return Ok(c_int::from(is_in_use()));
        }
        // SAFETY: Valid by the safety requirements; a racy read of a word, as `test_bit()`.
        let word = unsafe { (&raw const (*dentry).d_fsdata).read_volatile() };
        if word.addr() & (1 << ONLY_WATCHED) != 0 {
            return Ok(1);
        }
    }
    for layer in inode.layers().rcu_dentries() {
        // SAFETY: Held by the inode, and freed by RCU only after that.
        let ret = unsafe { bindings::rvfs_revalidate(layer, flags, weak) };
        if ret == ESTALE.to_errno()
            && !in_rcu_walk
            && is_lower_removed(inode.layers())
            && !is_in_use()
        {
            // The layer has just noticed. Another try would not get further.
            return Ok(0);
        }
        if ret <= 0 {
            return Ok(ret);
        }
    }
    Ok(1)
}
