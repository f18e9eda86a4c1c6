// SPDX-License-Identifier: GPL-2.0

//! The roots of layers and what else a lookup must not arrive at by another way, so that it notices that
//! layers overlap.
//!
//! The in-tree module has an inode of its own for each in the inode cache (`ovl_get_trap_inode()`).

use crate::{
    layers::Stacked,
    path::LayerPath,
    stack::LayerStack, //
};
use kernel::prelude::*;
use vfs::{
    dentry::Dentry,
    inode::Inode,
    path::Path,
    super_block::{
        NewSuperBlock,
        SuperBlock, //
    },
    FileSystem,
    Foreign,
    Ref, //
};

/// What keeps the inode of a trap: without it its memory could become that of another inode of the layer,
/// which would then be taken for the trap.
///
/// # Invariants
///
/// The super block that has this object is there longer, and so is the mount in `path`, or else one of those
/// that the super block has.
struct Kept {
    dir: Ref<'static, Dentry<Foreign>>,
    // After that, in the order in which members are dropped.
    path: Option<Path>,
}

/// The traps of a super block, which has to drop them before the mounts of its layers.
#[derive(Default)]
pub struct Traps {
    /// The addresses of their inodes, in order.
    keys: KVec<usize>,
    /// Their directories, in the order in which they came.
    kept: KVec<Kept>,
}

impl Traps {
    /// Lets go of the paths with which traps were set, now that the super block has mounts that keep
    /// the directories. Returns `EXDEV` where it has not.
    pub(crate) fn rely_on<L: Stacked>(&mut self, mounts: &L::Mounts) -> Result {
        for trap in &mut self.kept {
            if !L::keeps(mounts, &trap.dir) {
                return Err(EXDEV);
            }
            trap.path = None;
        }
        Ok(())
    }

    fn reserve(&mut self, more: usize) -> Result {
        self.keys.reserve(more, GFP_KERNEL)?;
        Ok(self.kept.reserve(more, GFP_KERNEL)?)
    }

    /// Where the one for `key` is, or else would be.
    fn position(&self, key: usize) -> Result<usize, usize> {
        // The library's own may panic, as far as the compiler knows.
        let (mut rest, mut at): (&[usize], usize) = (&self.keys, 0);
        loop {
            let half = rest.len() / 2;
            let Some((before, [middle, after @ ..])) = rest.split_at_checked(half) else {
                return Err(at);
            };
            if *middle == key {
                return Ok(at.saturating_add(half));
            }
            rest = if *middle < key {
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
        let key = key.ok_or(ENOTDIR)?.as_raw().addr();
        // SAFETY: Only grows.
        let traps = unsafe { self.kept_mut() };
        let Err(at) = traps.position(key) else {
            return Err(ELOOP);
        };
        traps.reserve(1)?;
        let dentry = Ref::into_raw(Ref::from(dir.dentry));
        // INVARIANT: The mount is in `path`.
        let kept = Kept {
            // SAFETY: Passed on. Its mount is kept by the member below.
            dir: unsafe { Ref::from_raw(dentry) },
            path: Some(dir.to_path()),
        };
        // There is room for both.
        traps.kept.push(kept, GFP_KERNEL)?;
        traps
            .keys
            .insert_within_capacity(at, key)
            .map_err(|_| EINVAL)
    }

    fn reserve_traps(&mut self, more: usize) -> Result {
        // SAFETY: Only grows.
        unsafe { self.kept_mut() }.reserve(more)
    }

    fn remove_trap(&mut self, dir: &Dentry<Foreign>) {
        // SAFETY: A trap goes before its super block.
        let traps = unsafe { self.kept_mut() };
        let Some(at) = traps.kept.iter().position(|kept| kept.dir.is(dir)) else {
            return;
        };
        let key = dir
            .inode()
            .map(|inode| traps.position(inode.as_raw().addr()));
        if let Some(Ok(key)) = key {
            // It is there, as is the other one.
            let _ = traps.keys.remove(key);
        }
        let _ = traps.kept.remove(at);
    }

    fn is_trap(&self, key: &Inode<Foreign>) -> bool {
        self.kept().has(key)
    }
}

/// Traps of a super block.
pub trait HasTraps {
    /// Whether the layer's inode `key` is one that a lookup must not arrive at, see [`NewTraps::set_trap`].
    fn is_trap(&self, key: &Inode<Foreign>) -> bool;
}

impl<F: FileSystem<Layers = LayerStack>> HasTraps for SuperBlock<F> {
    fn is_trap(&self, key: &Inode<Foreign>) -> bool {
        self.kept().has(key)
    }
}
