// SPDX-License-Identifier: GPL-2.0

//! Entries in the inode cache for the roots of layers, so that a lookup that arrives there by another
//! way notices that layers overlap.

use crate::{
    layers::Stacked,
    path::LayerPath,
    stack::LayerStack, //
};
use kernel::prelude::*;
use vfs::{
    bindings,
    dentry::Dentry,
    inode::{
        Fetched,
        Inode, //
    },
    layers::Layers,
    path::Path,
    super_block::{
        NewSuperBlock,
        SuperBlock, //
    },
    FileSystem,
    Foreign,
    Ref, //
};

/// An entry for one directory.
///
/// # Invariants
///
/// `_inode` is an inode of `F` without layers, whose key is the inode of `dir`, at `key`. Its super block
/// has this object, and so is there longer, and so is the mount in `path`, or else one of those that the
/// super block has.
struct Trap<F: FileSystem> {
    key: usize,
    _inode: Ref<'static, Inode<F>>,
    // After that, in the order in which members are dropped: without it the memory of the key could
    // become that of another inode of the layer, which would then be taken for the trap.
    dir: Ref<'static, Dentry<Foreign>>,
    path: Option<Path>,
}

/// The traps of a super block, which has to drop them before the mounts of its layers, in the order of
/// their keys.
pub struct Traps<F: FileSystem>(KVec<Trap<F>>);

impl<F: FileSystem> Default for Traps<F> {
    fn default() -> Self {
        Self(KVec::new())
    }
}

impl<F: FileSystem> Traps<F>
where
    F::Layers: Stacked,
{
    /// Lets go of the paths with which traps were set, now that the super block has mounts that keep
    /// the directories. Returns `EXDEV` where it has not.
    pub(crate) fn rely_on(&mut self, mounts: &<F::Layers as Layers>::Mounts) -> Result {
        for trap in &mut self.0 {
            if !F::Layers::keeps(mounts, &trap.dir) {
                return Err(EXDEV);
            }
            trap.path = None;
        }
        Ok(())
    }

    /// Where the one for `key` is, or else would be.
    fn position(&self, key: usize) -> Result<usize, usize> {
        // The library's own may panic, as far as the compiler knows.
        let (mut rest, mut at): (&[Trap<F>], usize) = (&self.0, 0);
        loop {
            let half = rest.len() / 2;
            let Some((before, [middle, after @ ..])) = rest.split_at_checked(half) else {
                return Err(at);
            };
            if middle.key == key {
                return Ok(at.saturating_add(half));
            }
            rest = if middle.key < key {
                at = at.saturating_add(half).saturating_add(1);
                after
            } else {
                before
            };
        }
    }

    /// Whether there is one for the layer's inode `key`.
    fn has(&self, key: &Inode<Foreign>) -> bool {
        self.position(key.as_raw().addr()).is_ok()
    }
}

/// Traps of a super block that is being filled.
pub trait NewTraps {
    /// Sets a trap at the directory `dir`, which stays as long as the super block, unless it is taken
    /// back.
    ///
    /// Returns `ELOOP` where there is one already and `ENOTDIR` if it is no directory. Where `dir` is of
    /// none of the layers' file systems in the end, [`NewSuperBlock::finish`] returns `EXDEV`.
    fn set_trap(&mut self, dir: LayerPath<'_>) -> Result;

    /// Makes room for `more` traps.
    fn reserve_traps(&mut self, more: usize) -> Result;

    /// Takes back the trap at `dir`, if there is one.
    fn remove_trap(&mut self, dir: &Dentry<Foreign>);

    /// Whether there is a trap for the layer's inode `key`.
    fn is_trap(&self, key: &Inode<Foreign>) -> bool;
}

impl<F: FileSystem<Layers = LayerStack>> NewTraps for NewSuperBlock<'_, F> {
    fn set_trap(&mut self, dir: LayerPath<'_>) -> Result {
        let key = dir.dentry.inode().filter(|_| dir.dentry.is_dir());
        let key = key.ok_or(ENOTDIR)?;
        // SAFETY: Only grows.
        unsafe { self.kept_mut() }.0.reserve(1, GFP_KERNEL)?;
        // SAFETY: Neither the search nor the making of an inode without layers looks at the data.
        let Fetched::New(inode) = unsafe { self.sb_for_inodes() }.iget(key)? else {
            return Err(ELOOP);
        };
        // SAFETY: Nobody else uses a new inode. CAST: a constant that fits.
        unsafe { (*inode.as_raw()).i_mode = bindings::S_IFDIR as u16 };
        // SAFETY: As above.
        unsafe { (*inode.as_raw()).i_flags = bindings::rvfs_const_RVFS_S_DEAD };
        let inode = Ref::into_raw(inode.publish());
        let dentry = Ref::into_raw(Ref::from(dir.dentry));
        // INVARIANT: Just made for that key.
        let trap = Trap {
            key: key.as_raw().addr(),
            // SAFETY: Passed on. The super block is this one.
            _inode: unsafe { Ref::from_raw(inode) },
            // SAFETY: As above, and its mount is kept by the member below.
            dir: unsafe { Ref::from_raw(dentry) },
            path: Some(dir.to_path()),
        };
        // SAFETY: Only grows.
        let traps = unsafe { self.kept_mut() };
        let (Ok(at) | Err(at)) = traps.position(trap.key);
        traps.0.insert_within_capacity(at, trap).map_err(|_| EINVAL)
    }

    fn reserve_traps(&mut self, more: usize) -> Result {
        // SAFETY: Only grows.
        Ok(unsafe { self.kept_mut() }.0.reserve(more, GFP_KERNEL)?)
    }

    fn remove_trap(&mut self, dir: &Dentry<Foreign>) {
        // SAFETY: A trap goes before its super block.
        let traps = &mut unsafe { self.kept_mut() }.0;
        if let Some(at) = traps.iter().position(|trap| trap.dir.is(dir)) {
            // It is there.
            let _ = traps.remove(at);
        }
    }

    fn is_trap(&self, key: &Inode<Foreign>) -> bool {
        self.kept().has(key)
    }
}

/// Traps of a super block.
pub trait HasTraps {
    /// Whether the inode for `key` is a trap, see [`NewTraps::set_trap`].
    fn is_trap(&self, key: &Inode<Foreign>) -> bool;
}

impl<F: FileSystem<Layers = LayerStack>> HasTraps for SuperBlock<F> {
    fn is_trap(&self, key: &Inode<Foreign>) -> bool {
        self.kept().has(key)
    }
}
