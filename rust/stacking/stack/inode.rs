// SPDX-License-Identifier: GPL-2.0

//! Inodes with layers.

use super::{
    check,
    growing::Growing,
    Entries,
    LayerStack,
    LowerEntry,
    LowerStack,
    Lowers,
    Now, //
};
use crate::mount::LayerMounts;
use kernel::prelude::*;
use vfs::{
    bindings,
    dentry::Dentry,
    inode::{
        Inode,
        NewInode, //
    },
    FileSystem,
    Foreign,
    Ref, //
};

/// An inode that stands for objects of several layers.
pub trait StackedInode {
    /// What it is made of now. Who needs more than one fact asks once.
    fn now(&self) -> Now<'_>;

    /// The dentry in the upper layer.
    ///
    /// Who sees it sees what copy up stored in the inode before.
    fn upper(&self) -> Option<&Dentry<Foreign>>;

    /// What shows of the dentries in the lower layers.
    fn lower(&self) -> Lowers<'_>;

    /// The dentries in all layers, topmost first, of an inode of a mount whose layers change. What shows
    /// of them is told by [`now`](Self::now).
    fn all_layers(&self) -> Option<&[LowerEntry]>;

    /// Keeps the number that the object shows from now on, `ino` of the file system `fsid`, where the
    /// mount's layers change. It has its layers.
    fn keep_number(&self, ino: u64, fsid: usize);

    /// What [`keep_number`](Self::keep_number) was called with last. `None` where layers do not change.
    fn kept_number(&self) -> Option<(u64, usize)>;

    /// The generation of the layers (see [`LayerMounts::generation`]) of which it is known what the object is made
    /// of, and that in which that was found first. Both are 0 where layers do not change.
    fn generations(&self) -> (u32, u32);

    /// Notes that what the object is made of is true of `generation`, too, where the mount's layers change.
    fn confirm(&self, generation: u32);

    /// Takes over what the object, of a mount whose layers change, is made of in a later generation. Returns whether
    /// that is something else than it was. What has been found in this or a later generation stays.
    ///
    /// Returns `EXDEV` where a dentry is not of the file system of its layer, `EINVAL` where the mount's layers do
    /// not change, and `ENOMEM`.
    fn renew(
        &self,
        upper: Option<(Ref<'_, Dentry<Foreign>>, usize)>,
        lower: LowerStack<'_>,
        generation: u32,
    ) -> Result<bool>;

    /// Makes the lower dentry with the data of a file visible, which was to be looked for when it is
    /// first needed. One that somebody else has found before stays.
    ///
    /// Returns `ENOMEM`, `EINVAL` where it has been there from the start, and `EXDEV` where it is not of
    /// the file system of that layer.
    fn set_lower_data(&self, dentry: Ref<'_, Dentry<Foreign>>, layer: usize) -> Result;

    /// Makes the upper dentry of a copied up object visible.
    ///
    /// What is stored in the inode before is visible to whoever sees the upper dentry. An inode
    /// that could not be found by a layer's inode, because its lower hard link was going to be
    /// broken, can be found by the upper one from now on.
    ///
    /// Returns `EIO` if there is an upper dentry already, and `EXDEV` where it is not of the file
    /// system of the upper layer. Where the mount's layers change also `ENOMEM`.
    fn set_upper(&self, upper: Ref<'_, Dentry<Foreign>>) -> Result;

    /// Puts a dentry of layer `layer` on top, which is going to be the upper layer.
    ///
    /// Returns `EIO` if there is one of this layer already, `EXDEV` where it is not of the file system of that
    /// layer, `EINVAL` where the mount's layers do not change, and `ENOMEM`.
    fn add_upper(&self, upper: Ref<'_, Dentry<Foreign>>, layer: usize) -> Result;
}

/// What an inode of a mount whose layers change is made of now.
#[cold]
#[inline(never)]
fn now_of<'a, F: FileSystem<Layers = LayerStack>>(
    inode: &'a Inode<F>,
    growing: &'a Growing,
) -> Now<'a> {
    growing.now(F::mounts(inode.sb().data()))
}

impl<F: FileSystem<Layers = LayerStack>> StackedInode for Inode<F> {
    #[inline]
    fn now(&self) -> Now<'_> {
        let layers = self.layers();
        match layers.growing() {
            Some(growing) => now_of(self, growing),
            None => Now {
                upper: layers.upper.get(),
                upper_layer: 0,
                lower: Lowers(&layers.lower),
            },
        }
    }

    #[inline]
    fn upper(&self) -> Option<&Dentry<Foreign>> {
        self.now().upper
    }

    #[inline]
    fn lower(&self) -> Lowers<'_> {
        self.now().lower
    }

    fn all_layers(&self) -> Option<&[LowerEntry]> {
        self.layers().growing().map(Growing::all)
    }

    fn keep_number(&self, ino: u64, fsid: usize) {
        if let Some(growing) = self.layers().growing() {
            growing.keep_number(ino, fsid);
        }
    }

    fn kept_number(&self) -> Option<(u64, usize)> {
        self.layers().growing().map(Growing::kept_number)
    }

    #[inline]
    fn generations(&self) -> (u32, u32) {
        self.layers().growing().map_or((0, 0), Growing::generations)
    }

    fn confirm(&self, generation: u32) {
        if let Some(growing) = self.layers().growing() {
            growing.confirm(generation);
        }
    }

    fn renew(
        &self,
        upper: Option<(Ref<'_, Dentry<Foreign>>, usize)>,
        mut lower: LowerStack<'_>,
        generation: u32,
    ) -> Result<bool> {
        let mounts = F::mounts(self.sb().data());
        check_all(mounts, &upper, &lower)?;
        let growing = self.layers().growing().ok_or(EINVAL)?;
        // Its entries are in no other allocation.
        if lower.deferred().is_some() {
            return Err(EINVAL);
        }
        growing.renew(upper, &mut lower, generation)
    }

    fn set_lower_data(&self, dentry: Ref<'_, Dentry<Foreign>>, layer: usize) -> Result {
        check(F::mounts(self.sb().data()), &dentry, layer)?;
        match &self.layers().lower.0 {
            Entries::Deferred(deferred) => deferred.publish(dentry, layer),
            _ => Err(EINVAL),
        }
    }

    fn set_upper(&self, upper: Ref<'_, Dentry<Foreign>>) -> Result {
        let layer = F::mounts(self.sb().data()).upper_index();
        set_upper(self, upper, layer)
    }

    fn add_upper(&self, upper: Ref<'_, Dentry<Foreign>>, layer: usize) -> Result {
        let mounts = F::mounts(self.sb().data());
        check(mounts, &upper, layer)?;
        let growing = self.layers().growing().ok_or(EINVAL)?;
        let added = growing.publish(upper, layer);
        added.map_err(|err| if err == EEXIST { EIO } else { err })
    }
}

/// Refuses dentries that are not of the file systems of their layers, and an upper one of a layer that was never
/// the upper one.
fn check_all(
    mounts: &LayerMounts,
    upper: &Option<(Ref<'_, Dentry<Foreign>>, usize)>,
    lower: &LowerStack<'_>,
) -> Result {
    for entry in lower.iter_found() {
        check(mounts, entry.dentry(), entry.layer())?;
    }
    if let Some((upper, layer)) = upper {
        if !mounts.was_upper(*layer) {
            return Err(EXDEV);
        }
        check(mounts, upper, *layer)?;
    }
    Ok(())
}

/// See [`StackedInode::set_upper`].
fn set_upper<F: FileSystem<Layers = LayerStack>>(
    inode: &Inode<F>,
    upper: Ref<'_, Dentry<Foreign>>,
    layer: usize,
) -> Result {
    let mounts = F::mounts(inode.sb().data());
    check(mounts, &upper, layer)?;
    let key = upper.inode().ok_or(EIO)?.as_raw();
    // SAFETY: Checked above.
    let published = unsafe { inode.layers().publish_upper(upper, layer) };
    published.map_err(|err| if err == EEXIST { EIO } else { err })?;
    // SAFETY: Valid by the type invariant.
    if unsafe { bindings::rvfs_inode_unhashed(inode.as_raw()) } {
        // SAFETY: As above. Nobody else writes `i_private` of an unhashed inode: it is done once,
        // by whoever has published the upper dentry.
        unsafe { (*inode.as_raw()).i_private = key.cast() };
        // SAFETY: As above, and the inode is not hashed.
        unsafe { bindings::rvfs_insert_inode_hash(inode.as_raw(), key as c_ulong) };
    }
    Ok(())
}

/// An inode that will stand for objects of several layers.
pub trait StackedNewInode {
    /// Sets the layers, once the type is set. `upper` comes with the index of its layer, which is
    /// or was the upper one.
    ///
    /// Returns `EXDEV` where a dentry is not of the file system of its layer, `EEXIST` where there
    /// are layers already, and where the mount's change `ENOMEM`.
    fn set_layers(
        &mut self,
        upper: Option<(Ref<'_, Dentry<Foreign>>, usize)>,
        lower: LowerStack<'_>,
    ) -> Result;

    /// See [`StackedInode::keep_number`].
    fn keep_number(&mut self, ino: u64, fsid: usize);

    /// Notes the generation of the layers in which it was found what the object is made of. It has its layers.
    fn set_generation(&mut self, generation: u32);
}

impl<F: FileSystem<Layers = LayerStack>> StackedNewInode for NewInode<'_, F> {
    fn keep_number(&mut self, ino: u64, fsid: usize) {
        // SAFETY: No member is changed.
        if let Some(growing) = unsafe { self.layers_mut() }.growing() {
            growing.keep_number(ino, fsid);
        }
    }

    fn set_generation(&mut self, generation: u32) {
        // SAFETY: No member is changed.
        if let Some(growing) = unsafe { self.layers_mut() }.growing() {
            growing.set_generation(generation);
        }
    }

    fn set_layers(
        &mut self,
        upper: Option<(Ref<'_, Dentry<Foreign>>, usize)>,
        mut lower: LowerStack<'_>,
    ) -> Result {
        let mounts = F::mounts(self.sb().data());
        check_all(mounts, &upper, &lower)?;
        // CAST: as in `S_ISDIR()`.
        // SAFETY: Valid by the type invariant, and nobody else uses it.
        let mode = u32::from(unsafe { (*self.as_raw()).i_mode });
        let is_dir = mode & bindings::S_IFMT == bindings::S_IFDIR;
        // SAFETY: Its members are set one by one.
        let layers = unsafe { self.layers_mut() };
        if !mounts.may_grow() {
            // INVARIANT: Just checked.
            layers.set_lower(lower);
            // SAFETY: Checked above.
            return upper.map_or(Ok(()), |(upper, layer)| unsafe {
                layers.publish_upper(upper, layer)
            });
        }
        if !matches!(&layers.lower.0, Entries::None) || lower.deferred().is_some() {
            return Err(EEXIST);
        }
        let first = upper.as_ref().map(|(upper, _)| upper.clone());
        // INVARIANT: Just checked.
        layers.lower.0 = Entries::Growing(Growing::new(mounts, upper, &mut lower, is_dir)?);
        if let Some(first) = first {
            // SAFETY: Checked above: its mount is there longer than the inode.
            let _ = unsafe { layers.upper.publish_ref(first) };
        }
        Ok(())
    }
}
