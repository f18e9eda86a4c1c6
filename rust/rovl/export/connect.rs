// SPDX-License-Identifier: GPL-2.0

//! Finding the overlay dentry of a layer's directory.
//!
//! The way leads up through the parents in the layer, to one whose overlay dentry is known: because
//! it is in the cache, has an index entry, or is the root. From there the names are looked up in the
//! overlay, downwards. A rename meanwhile makes that start again.

use crate::{
    identity::index,
    object::{
        entry::DentryExt,
        inode,
        log,
        reason,
        super_data::Super, //
    },
    Rovl, //
};
use kernel::prelude::*;
use stacking::{
    cred::AsMounter,
    exportfs::Accept, //
};
use vfs::{
    dentry::Dentry,
    super_block::SuperBlock,
    Foreign,
    Ref, //
};

/// A search for an overlay dentry.
pub(super) struct Connector<'a, 'sb> {
    pub(super) m: &'a AsMounter,
    pub(super) sb: &'sb SuperBlock<Rovl>,
    pub(super) ofs: &'sb Super,
}

/// What `dentry` is made of in layer `layer`; 0 is the upper one.
fn part_in(dentry: &Dentry<Rovl>, layer: usize) -> Option<&Dentry<Foreign>> {
    if layer == 0 {
        return dentry.upper();
    }
    let mut entries = dentry.lower().iter();
    let entry = entries.find(|entry| entry.layer() == layer)?;
    Some(entry.dentry())
}

fn is_part(dentry: &Dentry<Rovl>, layer: usize, real: &Dentry<Foreign>) -> bool {
    part_in(dentry, layer).is_some_and(|part| part.is(real))
}

impl<'sb> Connector<'_, 'sb> {
    /// The overlay directory that `real`, a directory of layer `layer`, is a part of.
    ///
    /// Returns `EXDEV` where it is outside of the layer.
    pub(super) fn find(
        &self,
        real: &Dentry<Foreign>,
        layer: usize,
    ) -> Result<Ref<'sb, Dentry<Rovl>>> {
        let mut connected = self.ancestor(real, layer)?;
        while !is_part(&connected, layer, real) {
            let result = self.step_down(&mut connected, real, layer);
            let result = match result {
                // It was renamed away from under `connected`, which may not be above `real` any more.
                Err(err) if err == ECHILD => self.ancestor(real, layer).map(|found| {
                    connected = found;
                }),
                result => result,
            };
            result.inspect_err(|err| {
                log::warn_dentry(c"failed to lookup by real", real, *err);
            })?;
        }
        Ok(connected)
    }

    /// Replaces `connected` by the one of its entries that is above `real`, or `real` itself.
    fn step_down(
        &self,
        connected: &mut Ref<'sb, Dentry<Rovl>>,
        real: &Dentry<Foreign>,
        layer: usize,
    ) -> Result {
        let mut next: Ref<'_, Dentry<Foreign>> = Ref::from(real);
        loop {
            let parent = next.parent();
            if is_part(connected, layer, &parent) {
                break;
            }
            if self.is_layer_root(&parent, layer) {
                // It was moved away from under `connected`.
                *connected = self.root()?;
                break;
            }
            if parent.is(&next) {
                return Err(reason::OUTSIDE_OF_LAYER);
            }
            next = parent;
        }
        *connected = self.child(connected, &next, layer)?;
        Ok(())
    }

    /// The entry of `connected` that `real` is a part of.
    ///
    /// Returns `ECHILD` if `real` is not in the layer's part of `connected` any more, and `ESTALE` if
    /// its name shows something else.
    fn child(
        &self,
        connected: &Ref<'sb, Dentry<Rovl>>,
        real: &Dentry<Foreign>,
        layer: usize,
    ) -> Result<Ref<'sb, Dentry<Rovl>>> {
        let found = real.with_name(|name| connected.lookup_to_connect(name));
        if !is_part(connected, layer, &real.parent()) {
            return Err(ECHILD);
        }
        let found = found?;
        if found.is_negative() {
            return Err(ENOENT);
        }
        if !is_part(&found, layer, real) {
            return Err(reason::MOVED_MEANWHILE);
        }
        Ok(found)
    }

    /// The overlay dentry of the nearest parent of `real`, or of itself, that is known without a
    /// lookup.
    fn ancestor(&self, real: &Dentry<Foreign>, layer: usize) -> Result<Ref<'sb, Dentry<Rovl>>> {
        if self.is_layer_root(real, layer) {
            return self.root();
        }
        let mut next: Ref<'_, Dentry<Foreign>> = Ref::from(real);
        loop {
            let parent = next.parent();
            if let Some(found) = self.known(&next, layer)? {
                return Ok(found);
            }
            if self.is_layer_root(&parent, layer) {
                return self.root();
            }
            if parent.is(&next) {
                return Err(reason::OUTSIDE_OF_LAYER);
            }
            next = parent;
        }
    }

    /// The overlay dentry of `real` if it is in the cache or has an index entry.
    ///
    /// Returns `ESTALE` if the index says that it was removed.
    fn known(
        &self,
        real: &Dentry<Foreign>,
        layer: usize,
    ) -> Result<Option<Ref<'sb, Dentry<Rovl>>>> {
        let inode = inode::find(self.sb, real, layer == 0)?;
        let mut found = inode.and_then(|inode| inode.any_alias());
        if found.is_none() && layer != 0 {
            if let Some(index) = index::lookup(self.m, self.ofs, None, real, false)? {
                let upper = index::upper_of(self.m, self.ofs, &index, Accept::InLayer)?;
                // Calls itself only once, because there is no index of the upper layer.
                found = upper.map(|upper| self.find(&upper, 0)).transpose()?;
            }
        }
        match found {
            Some(found) if !is_part(&found, layer, real) => Err(reason::NOT_PART_OF_FOUND),
            found => Ok(found),
        }
    }

    fn is_layer_root(&self, real: &Dentry<Foreign>, layer: usize) -> bool {
        let root = self.ofs.mounts.root(layer);
        root.is_some_and(|root| root.dentry.is(real))
    }

    fn root(&self) -> Result<Ref<'sb, Dentry<Rovl>>> {
        self.sb.root().map(Ref::from).ok_or(reason::NO_ROOT)
    }
}
