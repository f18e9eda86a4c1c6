// SPDX-License-Identifier: GPL-2.0

//! Looking into the index: for names of a lower file of which another one was copied up, and for
//! whether an upper and a lower object belong together.

use crate::{
    identity::index,
    namei::lookup::Lookup,
    object::{
        entry::RedirectText,
        layer_xattr::SHORT_REDIRECT, //
    },
    Rovl, //
};
use kernel::prelude::*;
use vfs::{
    dentry::Dentry,
    Foreign,
    Ref, //
};

impl<'sb> Lookup<'_, 'sb> {
    /// Whether `lower`, the topmost one that was found, is to be merged with `upper`: with NFS export
    /// not where the directory `upper` says that its origin is another one.
    ///
    /// Notes whether it is known to be the origin, without which the index is of no use. Returns
    /// `ESTALE` for a file whose data is below and whose origin is another one.
    pub(crate) fn is_origin(
        &mut self,
        upper: &Dentry<Foreign>,
        lower: &Dentry<Foreign>,
    ) -> Result<bool> {
        let must_verify = if self.is_dir {
            self.ofs.config.index_all()
        } else {
            self.ofs.config.index && self.origin.is_some()
        };
        if !must_verify {
            return Ok(true);
        }
        match self.ofs.verify_origin(self.m, upper, lower) {
            Ok(()) => {
                self.is_origin_known = true;
                Ok(true)
            }
            Err(_) if self.is_dir => Ok(false),
            Err(err) => Err(err),
        }
    }

    /// The entry in the index of what was found.
    pub(crate) fn in_index(
        &self,
        upper: Option<&Dentry<Foreign>>,
    ) -> Result<Option<Ref<'sb, Dentry<Foreign>>>> {
        let is_origin_known = upper.is_none() || self.is_origin_known;
        let Some(origin) = self.parts.lower.first().filter(|_| is_origin_known) else {
            return Ok(None);
        };
        if self.is_dir && !self.ofs.config.index_all() {
            return Ok(None);
        }
        index::lookup(self.m, self.ofs, upper, origin.dentry(), true)
    }

    /// Takes `index` for the upper one of a lower file that was copied up under another name.
    #[cold]
    pub(crate) fn take_index(
        &mut self,
        dentry: &Dentry<Rovl>,
        index: Ref<'sb, Dentry<Foreign>>,
    ) -> Result {
        let path = self.ofs.upper_path(&index)?;
        let (mut short, mut long) = ([0; SHORT_REDIRECT], None);
        let redirect = match self.ofs.redirect(self.m, path, &mut short, &mut long)? {
            Some(redirect) => {
                let redirect = redirect.as_bytes();
                let mut text = KVVec::with_capacity(redirect.len(), GFP_KERNEL)?;
                text.extend_from_slice(redirect, GFP_KERNEL)?;
                self.redirect = Some(text);
                Some(RedirectText::new(redirect)?)
            }
            None => None,
        };
        self.note_metacopy(path)?;
        self.check_may_follow(dentry)?;
        let parts = &mut self.parts;
        parts.upper = Some(index);
        parts.redirect = redirect;
        parts.upper_has_data = !self.metacopy;
        parts.indexed = true;
        parts.has_digest = self.digest;
        Ok(())
    }
}
