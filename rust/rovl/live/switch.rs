// SPDX-License-Identifier: GPL-2.0

//! Making other layers those of the mount.
//!
//! The list of all dentries of the root is the list of the layers. It is replaced by another one, layers that are not
//! in it are noted as gone, and the generation says that what was found before has to be found again.

use crate::{
    live::{
        lower_layers,
        root,
        uuids, //
    },
    object::{
        entry::{
            DentryExt,
            DentryFlag,
            Flag,
            FlagBits,
            InodeExt, //
        },
        live::Live,
        reason, //
    },
    Rovl, //
};
use core::sync::atomic::Ordering;
use kernel::prelude::*;
use stacking::{
    mount::LayerMounts,
    path::LayerPath,
    prelude::*,
    stack::LowerStack, //
};
use vfs::{
    dentry::Dentry,
    inode::Inode,
    super_block::SuperBlock,
    Ref, //
};

/// The hashes of the names in the roots of these layers, which come or go. Those are what can lead to something else in
/// the root of the mount afterwards. `None` where they cannot be read, are too many, or may be found by other names:
/// then all can.
///
/// Nobody may change them meanwhile. Takes locks of the layers.
pub(super) fn names_in<'a>(
    sb: &SuperBlock<Rovl>,
    layers: impl Iterator<Item = Option<LayerPath<'a>>>,
) -> Result<Option<KVec<u32>>> {
    let ofs = sb.data();
    let root = root(sb)?;
    let mut hashes = KVec::with_capacity(LayerMounts::MAX_CHANGED_NAMES, GFP_KERNEL)?;
    let read = ofs.as_mounter(|m| {
        for layer in layers {
            let layer = layer.ok_or(reason::NO_SUCH_LAYER)?;
            if !layer.tells_all_names() || !layer.may_search(m) || !layer.tells_names_apart(m) {
                return Err(EOPNOTSUPP);
            }
            layer.read_dir(m, |entry| match entry.is_dot_or_dotdot() {
                true => Ok(()),
                false => hashes
                    .push_within_capacity(root.hash_of_name(entry.name))
                    .map_err(|_| ENOSPC),
            })?;
        }
        Ok(())
    });
    Ok((read.is_ok() && !ofs.casefold).then_some(hashes))
}

/// The indices of layers.
pub(super) struct Stack {
    upper: usize,
    lower: KVec<usize>,
    gone: KVec<usize>,
    /// The new one may have whiteouts that are attributes.
    xwhiteouts: bool,
    /// See [`names_in`].
    names: Option<KVec<u32>>,
}

impl Stack {
    /// Those that there are, with room for a few more.
    pub(super) fn of(sb: &SuperBlock<Rovl>) -> Result<Self> {
        let layers = lower_layers(sb);
        let mut lower = KVec::with_capacity(layers.len().saturating_add(2), GFP_KERNEL)?;
        for entry in layers {
            lower.push(entry.layer(), GFP_KERNEL)?;
        }
        Ok(Self {
            upper: sb.data().mounts.upper_index(),
            lower,
            gone: KVec::new(),
            xwhiteouts: false,
            names: None,
        })
    }

    /// Takes all layers away that are above the lower one at `place`, and the upper one, whose place
    /// [`set_upper`](Self::set_upper) gives to another one.
    pub(super) fn keep_from(&mut self, place: usize) -> Result {
        self.gone.push(self.upper, GFP_KERNEL)?;
        for _ in 0..place {
            self.take_away(0)?;
        }
        Ok(())
    }

    /// Makes the layer `index` the upper one.
    pub(super) fn set_upper(&mut self, index: usize) {
        self.upper = index;
    }

    /// Takes the lower layer at `place` away.
    pub(super) fn take_away(&mut self, place: usize) -> Result {
        self.gone.reserve(1, GFP_KERNEL)?;
        let index = self.lower.remove(place).map_err(|_| ENOENT)?;
        self.gone.push(index, GFP_KERNEL)?;
        Ok(())
    }

    /// Puts the layer `index` directly below the upper one. `xwhiteouts`: it may have whiteouts that are attributes.
    pub(super) fn push(&mut self, index: usize, xwhiteouts: bool) -> Result {
        self.xwhiteouts = xwhiteouts;
        let inserted = self.lower.insert_within_capacity(0, index);
        inserted.map_err(|_| ENOMEM)
    }

    /// The layers that come or go have these names in their roots, see [`names_in`].
    pub(super) fn set_names(&mut self, names: Option<KVec<u32>>) {
        self.names = names;
    }

    /// The layers that go.
    pub(super) fn gone(&self) -> &[usize] {
        &self.gone
    }

    /// The roots of the lower layers.
    fn roots<'a>(&self, sb: &'a SuperBlock<Rovl>) -> Result<LowerStack<'a>> {
        let mut roots = LowerStack::with_capacity(self.lower.len())?;
        for &index in &self.lower {
            let root = sb.data().mounts.root(index);
            let root = root.ok_or(reason::NO_SUCH_LAYER)?.dentry;
            roots.push(Ref::from(root), index)?;
        }
        Ok(roots)
    }
}

/// Makes `stack` the layers of the mount. All who change something are kept out. Nothing is changed where this returns
/// an error.
pub(super) fn switch(sb: &SuperBlock<Rovl>, live: &Live, stack: Stack) -> Result {
    let mounts = &sb.data().mounts;
    let root: &Dentry<Rovl> = root(sb)?;
    let inode = root.positive()?;
    let lower = stack.roots(sb)?;
    let upper = mounts.root(stack.upper).ok_or(reason::NO_SUCH_LAYER)?;
    let upper = (Ref::from(upper.dentry), stack.upper);
    let _switching = live.switching.lock();
    // Who looks a name up from here on waits, or does it again.
    mounts.step_generation();
    let generation = mounts.generation().wrapping_add(1);
    let renewed = inode.renew(Some(upper), lower, generation);
    if renewed.is_ok() {
        show(inode, &stack);
        mounts.note_changed_names(stack.names.as_deref());
        uuids::tell_apart(sb);
    }
    // After an error, too: a generation in which nothing is other than in the one before is right.
    root.settle(flags_of(root, &stack), mounts.upper_index(), generation);
    mounts.step_generation();
    renewed.map(drop)
}

/// Notes what goes with the new list of the root.
fn show(root: &Inode<Rovl>, stack: &Stack) {
    let mounts = &root.ofs().mounts;
    let data = root.data();
    for &index in &stack.gone {
        mounts.set_gone(index);
    }
    if stack.upper != mounts.upper_index() {
        data.clear(Flag::Impure);
    }
    // It is, was, or has been made to be one that can be.
    let _ = mounts.set_upper_index(stack.upper);
    // ORDERING: An estimate.
    data.misses.store(0, Ordering::Relaxed);
    root.copy_attr_from_real();
    data.bump_version();
}

/// The flags that the root has with these layers.
fn flags_of(root: &Dentry<Rovl>, stack: &Stack) -> FlagBits {
    let mut flags = FlagBits::default();
    flags.add(DentryFlag::UpperAlias);
    for flag in [DentryFlag::Connected, DentryFlag::Xwhiteouts] {
        if root.has(flag) {
            flags.add(flag);
        }
    }
    if stack.xwhiteouts {
        flags.add(DentryFlag::Xwhiteouts);
    }
    flags
}
