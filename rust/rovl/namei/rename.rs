// SPDX-License-Identifier: GPL-2.0

//! Renaming.
//!
//! A rename is one rename of the upper layer: what is renamed is copied up before, and what has to
//! stay behind, a whiteout over what is in a lower layer, is left by the same rename. A directory
//! that is in a lower layer is left there and gets a redirect to it, see [`redirect`]; without the
//! option `redirect_dir` it is not renamed, but `EXDEV` makes the caller copy it.

mod clear_dir;
pub(crate) mod redirect;

use crate::{
    listing::names::Names,
    namei::{
        lookup::is_lower_positive,
        nlink::change_links,
        remove::drop_nlink, //
    },
    object::{
        config::RedirectMode,
        current,
        entry::{
            dir_modified,
            DentryExt,
            DentryFlag,
            InodeExt, //
        },
        reason, //
    },
    observe::{
        stats::Counter,
        trace::{
            self,
            Why, //
        }, //
    },
    readdir::empty::check_empty,
    upper::{
        copy_up::copy_up,
        Upper, //
    },
    Rovl, //
};
use kernel::prelude::*;
use stacking::{
    namei::Renaming,
    prelude::*, //
};
use vfs::{
    dentry::{
        Child,
        Dentry, //
    },
    inode::Locked,
    namei::{
        RenameFlag,
        RenameFlags, //
    },
    Foreign,
    Ref, //
};

/// What is to be done.
struct Rename<'a> {
    old_dir: &'a Locked<'a, Rovl>,
    old: Child<'a, Rovl>,
    new_dir: &'a Locked<'a, Rovl>,
    new: Child<'a, Rovl>,
    /// The inode of `new`, if that is replaced.
    replaced: Option<&'a Locked<'a, Rovl>>,
    /// How to rename in the upper layer.
    flags: RenameFlags,
    /// `new` is replaced if it exists, and not exchanged.
    overwrite: bool,
    /// The whiteout at `new` gets to the old place, where it is not needed.
    cleanup_whiteout: bool,
    /// What is in the upper directory that is replaced.
    whiteouts: Names,
}

/// `->rename`
pub(crate) fn rename(
    (old_dir, old): (&Locked<'_, Rovl>, Child<'_, Rovl>),
    (new_dir, new): (&Locked<'_, Rovl>, Child<'_, Rovl>),
    replaced: Option<&Locked<'_, Rovl>>,
    flags: RenameFlags,
) -> Result {
    let _layers = old_dir.ofs().start_changing();
    current::ensure(&old)?;
    current::ensure(&new)?;
    let rename = Rename::plan((old_dir, old), (new_dir, new), replaced, flags)?;
    copy_up(&old, Why::Rename)?;
    copy_up(new.dir(), Why::Rename)?;
    if !rename.overwrite {
        copy_up(&new, Why::Rename)?;
    }
    match replaced {
        Some(inode) => change_links(&new, inode, Why::Rename, |upper| rename.run(upper)),
        None => old.sb().data().change_upper(|upper| rename.run(upper)),
    }
}

/// Whether a directory has a part in a lower layer, with which it cannot be renamed.
fn is_merge_or_lower(dentry: &Dentry<Rovl>) -> bool {
    let kind = dentry.path_type();
    kind.merge || !kind.upper
}

fn can_move(dentry: &Dentry<Rovl>) -> bool {
    dentry.sb().data().config.redirect == RedirectMode::On
        || !dentry.is_dir()
        || !is_merge_or_lower(dentry)
}

/// Whether `found` is what the overlay knows as the upper part of `dentry`.
fn matches_upper(dentry: &Dentry<Rovl>, found: &Dentry<Foreign>) -> bool {
    let inode = dentry.upper().and_then(Dentry::inode);
    Upper::is_name_of(found, inode)
}

impl<'a> Rename<'a> {
    /// Decides how to rename, before anything is changed.
    fn plan(
        (old_dir, old): (&'a Locked<'a, Rovl>, Child<'a, Rovl>),
        (new_dir, new): (&'a Locked<'a, Rovl>, Child<'a, Rovl>),
        replaced: Option<&'a Locked<'a, Rovl>>,
        flags: RenameFlags,
    ) -> Result<Self> {
        if flags.has_other_than(RenameFlag::Exchange | RenameFlag::Noreplace) {
            return Err(reason::RENAME_FLAGS);
        }
        // The VFS has looked whether there is something to replace.
        let overwrite = !flags.contains(RenameFlag::Exchange);
        if !can_move(&old) || (!overwrite && !can_move(&new)) {
            return Err(reason::NO_REDIRECTS);
        }
        let whiteouts = if overwrite && new.is_dir() && !new.is_pure_upper() {
            new.sb().data().as_mounter(|m| check_empty(m, &new))?
        } else {
            Names::new()
        };
        let mut plan = Self {
            old_dir,
            old,
            new_dir,
            new,
            replaced,
            flags: if overwrite {
                RenameFlags::NONE
            } else {
                RenameFlag::Exchange.into()
            },
            overwrite,
            cleanup_whiteout: false,
            whiteouts,
        };
        if overwrite {
            if is_lower_positive(old)? {
                // A whiteout has to stay behind. If there is one at the new place, it does.
                plan.flags |= if new.is_whiteout() {
                    RenameFlag::Exchange
                } else {
                    RenameFlag::Whiteout
                };
            } else if old.is_dir() && new.is_whiteout() {
                plan.flags |= RenameFlag::Exchange;
                plan.cleanup_whiteout = true;
            }
        }
        Ok(plan)
    }

    /// Renames in the upper layer and takes the result over.
    fn run(&self, upper: &Upper<'_>) -> Result {
        let (old, new) = (self.old, self.new);
        let old_dir = old.dir().upper().ok_or(reason::NOT_IN_UPPER)?;
        let new_dir = new.dir().upper().ok_or(reason::NOT_IN_UPPER)?;
        let cleared = if self.whiteouts.is_empty() {
            None
        } else {
            Some(upper.clear_dir(new, &self.whiteouts)?)
        };
        self.set_impure(upper)?;

        let renaming =
            upper.start_renaming((old_dir, old.name()), (new_dir, new.name()), self.flags)?;
        self.check(upper, &renaming, cleared.as_deref())?;
        self.prepare_moved(upper, &renaming)?;
        let whiteout = if self.cleanup_whiteout {
            let whiteout = Ref::from(renaming.new_dentry());
            Some(upper.ofs.keep_upper(whiteout)?)
        } else {
            None
        };
        renaming.rename()?;
        if self.flags.contains(RenameFlag::Whiteout) {
            upper.ofs.stats.count(Counter::Whiteouts);
            trace::whiteout(&old);
        }
        if let Some(whiteout) = whiteout {
            upper.cleanup(old_dir, &whiteout);
        }
        self.update()
    }

    /// Marks directories that get an entry with an origin.
    fn set_impure(&self, upper: &Upper<'_>) -> Result {
        let old_dir = self.old.dir();
        let new_dir = self.new.dir();
        if old_dir.is(new_dir) {
            return Ok(());
        }
        if self.old.path_type().origin {
            upper.set_impure(new_dir)?;
        }
        if !self.overwrite && self.new.path_type().origin {
            upper.set_impure(old_dir)?;
        }
        Ok(())
    }

    /// Checks that the upper layer has what the overlay expects, else `ESTALE`.
    fn check(
        &self,
        upper: &Upper<'_>,
        renaming: &Renaming<'_>,
        cleared: Option<&Dentry<Foreign>>,
    ) -> Result {
        let found = renaming.new_dentry();
        if !matches_upper(&self.old, renaming.old()) {
            return Err(reason::UPPER_CHANGED);
        }
        let as_expected = if self.new.upper().is_some() {
            cleared.map_or_else(
                || matches_upper(&self.new, found),
                |cleared| found.is(cleared),
            )
        } else if found.is_negative() {
            !self.flags.contains(RenameFlag::Exchange)
        } else {
            self.new.has(DentryFlag::Opaque) && upper.is_whiteout(found)
        };
        // Names of one inode would not be renamed at all.
        if !as_expected || Upper::is_name_of(found, renaming.old().inode()) {
            return Err(reason::UPPER_CHANGED);
        }
        Ok(())
    }

    /// Sees to it that what is moved finds what is below its old place, and nothing else: an object
    /// with a lower part gets a redirect to it, and a pure upper directory that gets into a merged
    /// one is made opaque.
    fn prepare_moved(&self, upper: &Upper<'_>, renaming: &Renaming<'_>) -> Result {
        let moved = [
            (self.old, self.new, Some(renaming.old())),
            (
                self.new,
                self.old,
                (!self.overwrite).then(|| renaming.new_dentry()),
            ),
        ];
        for (from, to, dir) in moved {
            let Some(dir) = dir else { continue };
            if is_merge_or_lower(&from) {
                let same_dir = from.dir().is(to.dir());
                redirect::set(upper, from, same_dir)?;
                continue;
            }
            if !from.is_dir() {
                continue;
            }
            let merges = to.dir().path_type().merge;
            if merges && !from.has(DentryFlag::Opaque) {
                upper.set_opaque(&from, dir, reason::CANNOT_BE_OPAQUE)?;
            }
        }
        Ok(())
    }

    /// Leaves with the names what is known of them: the VFS moves the dentries after this.
    fn exchange_places(&self) {
        let (old, new) = (self.old, self.new);
        let flag = DentryFlag::NothingBelow;
        let of_old = old.has(flag);
        old.set(flag, new.has(flag));
        if !self.overwrite {
            new.set(flag, of_old);
        }
        if old.sb().data().mounts.may_grow() {
            // Layers may become others before that, and somebody who comes by the old name take it for what it was.
            old.mark(DentryFlag::AskAgain);
            new.mark(DentryFlag::AskAgain);
        }
    }

    /// Takes over what the rename has changed.
    fn update(&self) -> Result {
        let (old, new) = (self.old, self.new);
        if let Some(inode) = self.replaced {
            if inode.is_dir() {
                inode.clear_nlink();
            } else {
                drop_nlink(&new, inode);
            }
        }
        self.exchange_places();
        let old_origin = old.path_type().origin;
        let new_origin = new.path_type().origin;
        dir_modified(self.old_dir, old_origin || (!self.overwrite && new_origin));
        dir_modified(self.new_dir, old_origin || new_origin);

        if !self.old_dir.is(self.new_dir) {
            // Their listings have another number for `..`.
            for moved in [old.inode(), new.inode()].into_iter().flatten() {
                moved.data().bump_version();
            }
        }

        // The time of the change.
        old.positive()?.copy_attr_from_real();
        if let Some(inode) = new.inode().filter(|inode| inode.upper().is_some()) {
            inode.copy_attr_from_real();
        }
        Ok(())
    }
}
