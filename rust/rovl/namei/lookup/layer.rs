// SPDX-License-Identifier: GPL-2.0

//! Looking into one layer.

use crate::{
    namei::lookup::{
        is_absolute,
        Lookup, //
    },
    object::{
        entry::DentryFlag,
        layer_xattr::SHORT_REDIRECT,
        log,
        reason, //
    }, //
};
use core::sync::atomic::Ordering;
use kernel::prelude::*;
use ondisk::{
    marker::Opaque,
    metacopy,
    redirect::Redirect, //
};
use stacking::{
    path::LayerPath,
    prelude::*, //
};
use vfs::{
    dentry::Dentry,
    Foreign,
    Ref, //
};

/// The longest path that redirects may add up to. Those that were made by a rename are shorter
/// than a path of a system call.
const MAX_REDIRECT: usize = 1 << 20;

/// One layer of a lookup.
pub(crate) struct Level<'a> {
    /// The directory, or the root of the layer under an absolute redirect.
    pub(crate) dir: LayerPath<'a>,
    /// The index of the layer.
    pub(crate) layer: usize,
    /// It is the upper one.
    pub(crate) upper: bool,
    /// There is no layer below that could hold more.
    pub(crate) last: bool,
}

/// One name on the way to the object.
#[derive(Clone, Copy)]
struct Step<'a> {
    /// All of the name or path that is looked for.
    whole: &'a [u8],
    name: &'a [u8],
    /// What comes after it, with the slash before that. Empty for the object itself.
    rest: &'a [u8],
}

impl<'a> Step<'a> {
    /// Of a name in the directory itself.
    fn only(name: &'a [u8]) -> Self {
        Self {
            whole: name,
            name,
            rest: &[],
        }
    }

    /// Whether it is the object itself.
    fn is_last(&self) -> bool {
        self.rest.is_empty()
    }
}

impl<'sb> Lookup<'_, 'sb> {
    /// Looks for the object. Returns `None` where there is nothing that shows.
    pub(crate) fn in_layer(
        &mut self,
        level: &Level<'sb>,
    ) -> Result<Option<Ref<'sb, Dentry<Foreign>>>> {
        let found = self.in_layer_by_redirect(level);
        self.asked = self.asked.saturating_add(1);
        if matches!(found, Ok(None)) {
            self.missed = self.missed.saturating_add(1);
        }
        found
    }

    #[inline]
    fn in_layer_by_redirect(
        &mut self,
        level: &Level<'sb>,
    ) -> Result<Option<Ref<'sb, Dentry<Foreign>>>> {
        // A redirect that is found on the way takes the place of this one for the layers below.
        let Some(redirect) = self.redirect.take() else {
            return self.take_step(level, level.dir, Step::only(self.name));
        };
        let found = if is_absolute(&redirect) {
            self.walk(level, &redirect)
        } else {
            self.take_step(level, level.dir, Step::only(&redirect))
        };
        if self.redirect.is_none() {
            self.redirect = Some(redirect);
        }
        found
    }

    /// Looks for each name of the path `whole` in turn, starting at the root of the layer.
    fn walk(
        &mut self,
        level: &Level<'sb>,
        whole: &[u8],
    ) -> Result<Option<Ref<'sb, Dentry<Foreign>>>> {
        let mut found: Option<Ref<'sb, Dentry<Foreign>>> = None;
        let mut path = whole.strip_prefix(b"/").unwrap_or(whole);
        loop {
            let end = path.iter().position(|&byte| byte == b'/');
            let (name, rest) = path.split_at(end.unwrap_or(path.len()));
            let step = Step { whole, name, rest };
            let dir = found.as_deref().unwrap_or(level.dir.dentry);
            let dir = LayerPath::new(level.dir.mount, dir)?;
            let this = self.take_step(level, dir, step)?;
            if this.is_none() || step.is_last() {
                return Ok(this);
            }
            found = this;
            path = rest.strip_prefix(b"/").unwrap_or_default();
        }
    }

    /// Looks for one name in the directory `dir` of the layer.
    fn take_step(
        &mut self,
        level: &Level<'sb>,
        dir: LayerPath<'_>,
        step: Step<'_>,
    ) -> Result<Option<Ref<'sb, Dentry<Foreign>>>> {
        if self.ofs.casefold != dir.dentry.is_casefolded() {
            return fail(dir, c"parent wrong casefold", reason::PARENT_CASEFOLD);
        }
        // The overlay caches that a name is free, so the upper layer need not; in lower layers the
        // cached negative dentry serves other mounts of the same layer too.
        let drop_negative = level.upper;
        let Some(this) = dir.lookup_positive(self.m, step.name, drop_negative)? else {
            return Ok(None);
        };
        let this = level.dir.mount.adopt(this)?;
        if this.is_dir() && self.ofs.casefold != this.is_casefolded() {
            return fail(dir, c"child wrong casefold", reason::CHILD_CASEFOLD);
        }
        if this.is_weird() {
            return fail(dir, c"unsupported object type", reason::WEIRD_OBJECT);
        }
        let path = LayerPath::new(dir.mount, &this)?;
        if self.ofs.is_whiteout(self.m, path) {
            self.stop = true;
            self.opaque = true;
            return Ok(None);
        }
        // Only a file has the data of a file.
        if step.is_last() && self.metacopy && !this.is_reg() {
            self.stop = true;
            return Ok(None);
        }
        let shows = if this.can_lookup() {
            self.look_at_dir(level, path, step)?;
            true
        } else {
            self.look_at_file(level, path, step)?
        };
        Ok(shows.then_some(this))
    }

    /// Whether a file shows. It ends the lookup, unless its data is below.
    fn look_at_file(
        &mut self,
        level: &Level<'_>,
        path: LayerPath<'_>,
        step: Step<'_>,
    ) -> Result<bool> {
        self.stop = true;
        if self.is_dir || !step.is_last() {
            return Ok(false);
        }
        self.note_metacopy(path)?;
        if self.metacopy {
            self.stop = false;
            if !level.last {
                self.read_redirect(path, step)?;
            }
        }
        Ok(true)
    }

    /// Notes what a directory says of what is below it.
    fn look_at_dir(&mut self, level: &Level<'_>, path: LayerPath<'_>, step: Step<'_>) -> Result {
        let inode = path.dentry.inode().ok_or(reason::NEGATIVE_MEANWHILE)?;
        if self.sb.is_trap(inode) && !self.ofs.is_root_of_gone(inode) {
            return fail(path, c"overlapping layers", reason::OVERLAPPING_LAYERS);
        }
        if step.is_last() {
            self.is_dir = true;
        }
        if level.last {
            return Ok(());
        }
        match self.ofs.opaque(self.m, path) {
            Opaque::Yes => {
                self.stop = true;
                self.opaque |= step.is_last();
                return Ok(());
            }
            Opaque::XattrWhiteouts if step.is_last() && !level.upper => {
                self.xwhiteouts = true;
                if let Some(info) = self.ofs.layer_info(level.layer) {
                    // ORDERING: Published with the dentry, which is added to the dcache after this.
                    info.has_xwhiteouts.store(true, Ordering::Relaxed);
                }
            }
            _ => {}
        }
        self.read_redirect(path, step)
    }

    /// Notes whether the data of what was found is somewhere else.
    pub(crate) fn note_metacopy(&mut self, path: LayerPath<'_>) -> Result {
        let len = if path.dentry.is_reg() {
            self.ofs.metacopy_len(self.m, path)?
        } else {
            None
        };
        self.metacopy = len.is_some();
        self.digest = len.is_some_and(|len| len > metacopy::HEADER_LEN);
        Ok(())
    }

    /// Takes over where the object is in the layers below, if what was found at `step` says so.
    ///
    /// Returns `EINVAL` where that cannot be a place.
    fn read_redirect(&mut self, path: LayerPath<'_>, step: Step<'_>) -> Result {
        self.absolute = false;
        let (mut short, mut long) = ([0; SHORT_REDIRECT], None);
        match self.ofs.redirect(self.m, path, &mut short, &mut long)? {
            Some(redirect) => self.follow(redirect, step),
            None => Ok(()),
        }
    }

    /// Replaces the name at `step` by `redirect`, or all up to it if that is absolute.
    fn follow(&mut self, redirect: Redirect<'_>, step: Step<'_>) -> Result {
        let current = self.redirect.as_deref().unwrap_or(step.whole);
        if self.ofs.mounts.may_grow() {
            self.flags.add(DentryFlag::AskAgain);
        }
        let start = match redirect {
            Redirect::Absolute(_) => {
                // A directory on the way may have been opaque, but that was not where this leads.
                self.stop = false;
                self.absolute = true;
                &[]
            }
            Redirect::Relative(_) => {
                let from_end = step.name.len().saturating_add(step.rest.len());
                let len = current.len().saturating_sub(from_end);
                current.get(..len).unwrap_or_default()
            }
        };
        let parts = [start, redirect.as_bytes(), step.rest];
        let len = parts
            .iter()
            .try_fold(0usize, |len, part| len.checked_add(part.len()));
        let len = len.filter(|len| *len <= MAX_REDIRECT).ok_or(ENAMETOOLONG)?;
        let mut text = KVVec::with_capacity(len, GFP_KERNEL)?;
        for part in parts {
            text.extend_from_slice(part, GFP_KERNEL)?;
        }
        self.redirect = Some(text);
        Ok(())
    }
}

fn fail<T>(path: LayerPath<'_>, why: &'static CStr, err: Error) -> Result<T> {
    log::warn_dentry(why, path.dentry, err);
    Err(err)
}
