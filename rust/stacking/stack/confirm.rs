// SPDX-License-Identifier: GPL-2.0

//! Dentries of a mount whose layers change, that are in others what they were.
//!
//! A name leads to what it led to if its directory is made of the same dentries as it was then. In the root, which is
//! made of others whenever the layers change, it does so if it is no name of a layer that came or went. No layer is
//! asked for that, so that RCU walk goes on.

use super::{
    growing::Growing,
    LayerStack, //
};
use crate::{
    mount::LayerMounts,
    revalidate::{
        generation_of,
        with_generation,
        LOOKED_UP_AGAIN, //
    },
};
use core::sync::atomic::{
    AtomicUsize,
    Ordering, //
};
use kernel::sync::rcu;
use vfs::{
    bindings,
    inode::RcuInode,
    super_block::SuperBlock,
    FileSystem, //
};

/// A dentry as RCU walk sees it.
///
/// # Invariants
///
/// It is a dentry that is not freed as long as this is there.
#[derive(Clone, Copy)]
struct RcuDentry(*mut bindings::dentry);

impl RcuDentry {
    /// The word in `d_fsdata`.
    fn word(&self) -> &AtomicUsize {
        // SAFETY: By the type invariant. The member has the size of a word, and all who change it do so atomically.
        unsafe { AtomicUsize::from_ptr((&raw mut (*self.0).d_fsdata).cast()) }
    }

    fn inode(&self) -> *mut bindings::inode {
        // SAFETY: By the type invariant; a racy read of a pointer, as in RCU walk.
        unsafe { (&raw const (*self.0).d_inode).read_volatile() }
    }

    fn parent(&self) -> Self {
        // INVARIANT: A dentry has a reference on its parent, which is freed a grace period after that was put.
        // SAFETY: By the type invariant; a racy read of a pointer, as in RCU walk.
        Self(unsafe { (&raw const (*self.0).d_parent).read_volatile() })
    }

    fn is_unhashed(&self) -> bool {
        // SAFETY: By the type invariant; a racy read of a pointer that is only compared, as `d_unhashed()`.
        unsafe { (&raw const (*self.0).d_hash.pprev).read_volatile() }.is_null()
    }

    /// The hash of the name. Who changes a name has made the dentry current before.
    fn hash(&self) -> u32 {
        // SAFETY: By the type invariant.
        let name = unsafe { &raw const (*self.0).__bindgen_anon_1.d_name };
        // SAFETY: By the type invariant; a racy read of an integer.
        unsafe { (&raw const (*name).__bindgen_anon_1.__bindgen_anon_1.hash).read_volatile() }
    }
}

/// What there is of an inode of `F`, if it has lists that change.
///
/// # Safety
///
/// `inode` must be null or an inode of `F` that is not freed before the end of `'a`.
unsafe fn growing<'a, F: FileSystem<Layers = LayerStack>>(
    inode: *mut bindings::inode,
) -> Option<&'a Growing> {
    if inode.is_null() {
        return None;
    }
    // SAFETY: By the safety requirements.
    unsafe { RcuInode::<F>::from_raw(inode) }.layers().growing()
}

/// Whether it is a directory.
///
/// # Safety
///
/// `inode` must be an inode that is not freed meanwhile.
unsafe fn is_dir(inode: *mut bindings::inode) -> bool {
    // SAFETY: By the safety requirements; constant but for the permissions.
    let mode = unsafe { (&raw const (*inode).i_mode).read_volatile() };
    u32::from(mode) & bindings::S_IFMT == bindings::S_IFDIR
}

/// How many names it has.
///
/// # Safety
///
/// As for [`is_dir`].
unsafe fn nlink(inode: *mut bindings::inode) -> u32 {
    // SAFETY: By the safety requirements; a racy read of an integer.
    unsafe { (&raw const (*inode).__bindgen_anon_1.i_nlink).read_volatile() }
}

/// Whether `inode`, of a name whose directory is what it was, may be another object by another name: it has none any more,
/// a part of it is in a layer that is gone, or it has not as many as in its layer.
///
/// # Safety
///
/// As for [`is_dir`]. `growing` must be what there is of it.
unsafe fn may_be_another(
    mounts: &LayerMounts,
    inode: *mut bindings::inode,
    growing: &Growing,
) -> bool {
    // SAFETY: By the safety requirements.
    let names = unsafe { nlink(inode) };
    if names == 0
        || growing
            .all()
            .iter()
            .any(|entry| mounts.is_gone(entry.layer()))
    {
        return true;
    }
    // SAFETY: By the safety requirements.
    if unsafe { is_dir(inode) } {
        return false;
    }
    let Some(top) = growing.rcu_top() else {
        return true;
    };
    // INVARIANT: The dentry is freed only a grace period after the inode put it.
    let real = RcuDentry(top.dentry).inode();
    // SAFETY: Inodes of all file systems are freed by RCU.
    real.is_null() || unsafe { nlink(real) } != names
}

/// See [`Layers::confirm`](vfs::layers::Layers::confirm).
///
/// # Safety
///
/// As for that.
pub(super) unsafe fn confirm<F: FileSystem<Layers = LayerStack>>(
    dentry: *mut bindings::dentry,
) -> bool {
    let _rcu = rcu::read_lock();
    // SAFETY: By the safety requirements; `d_sb` is constant, and whoever has the dentry keeps the super block.
    let sb = unsafe { SuperBlock::<F>::from_raw((*dentry).d_sb) };
    let mounts = F::mounts(sb.data());
    // INVARIANT: By the safety requirements, and in RCU walk until the end of the RCU section.
    let dentry = RcuDentry(dentry);
    // Before the rest: all that is read is of this generation or a later one.
    let generation = mounts.generation();
    // SAFETY: Its inodes are freed by RCU.
    let is_same = unsafe { is_same_in::<F>(sb, dentry, generation) };
    // ORDERING: Who sees the new word sees what was found before: Acquire and Release.
    let change = |word| {
        let is_older = generation_of(word) < generation && word & LOOKED_UP_AGAIN == 0;
        is_older.then(|| with_generation(word, generation))
    };
    if is_same {
        let word = dentry.word();
        let _ = word.fetch_update(Ordering::Release, Ordering::Acquire, change);
    }
    is_same
}

/// Whether `dentry` is in `generation` what it was when it was found. A directory takes over that it is.
///
/// # Safety
///
/// The inodes of `dentry` and of its parent must be inodes of `F` that are not freed meanwhile.
unsafe fn is_same_in<F: FileSystem<Layers = LayerStack>>(
    sb: &SuperBlock<F>,
    dentry: RcuDentry,
    generation: u32,
) -> bool {
    let mounts = F::mounts(sb.data());
    // SAFETY: Valid by the type invariant; constant as long as names are looked up.
    let root = unsafe { (&raw const (*sb.as_raw()).s_root).read_volatile() };
    // ORDERING: Acquire pairs with the Release of who has found it.
    let word = dentry.word().load(Ordering::Acquire);
    if generation & 1 != 0 || word & LOOKED_UP_AGAIN != 0 || dentry.is_unhashed() {
        return false;
    }
    let parent = dentry.parent();
    // ORDERING: As above.
    if generation_of(parent.word().load(Ordering::Acquire)) != generation {
        return false;
    }
    // SAFETY: By the safety requirements.
    let Some(dir) = (unsafe { growing::<F>(parent.inode()) }) else {
        return false;
    };
    let (known_in, made) = dir.generations();
    let found_in = generation_of(word);
    let is_as_before = || {
        made <= found_in
            || (parent.0 == root && !mounts.may_have_changed(dentry.hash(), (found_in, generation)))
    };
    if known_in != generation || !is_as_before() {
        return false;
    }
    let inode = dentry.inode();
    // SAFETY: By the safety requirements.
    let Some(growing) = (unsafe { growing::<F>(inode) }) else {
        // Nothing, as before.
        return inode.is_null();
    };
    // SAFETY: By the safety requirements.
    if unsafe { may_be_another(mounts, inode, growing) } {
        return false;
    }
    // SAFETY: By the safety requirements.
    if unsafe { is_dir(inode) } {
        growing.confirm(generation);
    }
    true
}
