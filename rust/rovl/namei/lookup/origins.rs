// SPDX-License-Identifier: GPL-2.0

//! By what else the cache may know an inode, where layers change.

use crate::{
    identity::origin,
    namei::lookup::Lookup,
    object::reason,
    Rovl, //
};
use kernel::prelude::*;
use stacking::{
    path::LayerPath,
    stack::LowerStack, //
};
use vfs::{
    dentry::Dentry,
    inode::Inode,
    Foreign,
    Ref, //
};

impl<'sb> Lookup<'_, 'sb> {
    /// The inode that the cache has for what was found since before a layer was put on top.
    #[inline]
    pub(super) fn known(&self) -> Result<Option<Ref<'sb, Inode<Rovl>>>> {
        // Without more layers the key of an object is the same for good.
        if !self.ofs.have_changed() {
            return Ok(None);
        }
        self.find_known()
    }

    #[cold]
    #[inline(never)]
    fn find_known(&self) -> Result<Option<Ref<'sb, Inode<Rovl>>>> {
        let parts = &self.parts;
        let origins = self.origins_of(parts.upper.as_deref(), &parts.lower)?;
        Ok(parts.find_known(self.sb, &origins))
    }

    /// What a file of a layer that is or was the upper one was copied from, and what that was copied from, as far
    /// as it is not in `lower`: where layers change, the cache may know the inode by that.
    fn origins_of(
        &self,
        upper: Option<&Dentry<Foreign>>,
        lower: &LowerStack<'_>,
    ) -> Result<KVec<Ref<'sb, Dentry<Foreign>>>> {
        let mut origins = KVec::new();
        let mounts = &self.ofs.mounts;
        if self.is_dir {
            return Ok(origins);
        }
        // That of an upper file is in `lower` already.
        let first = match lower.first() {
            Some(first) if upper.is_some() || mounts.was_upper(first.layer()) => first,
            _ => return Ok(origins),
        };
        let mut next = origin::find(
            self.m,
            self.ofs,
            self.ofs.lower_path(first).ok_or(reason::NO_SUCH_LAYER)?,
        )?;
        // One layer is put on another each time.
        while let Some((origin, layer)) = next.take() {
            if origins.len() < mounts.num_later() {
                let mount = mounts.get(layer).ok_or(reason::NO_SUCH_LAYER)?;
                let path = LayerPath::new(mount, &origin)?;
                next = origin::find(self.m, self.ofs, path)?;
            }
            origins.push(origin, GFP_KERNEL)?;
        }
        Ok(origins)
    }
}
