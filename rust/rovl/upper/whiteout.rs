// SPDX-License-Identifier: GPL-2.0

//! Whiteouts.
//!
//! All whiteouts of a mount are hard links of one inode, as far as the upper file system lets an
//! inode have links.

use crate::{
    listing::names::Names,
    object::{
        log,
        super_data::Super, //
    },
    observe::stats::Counter,
    upper::{
        cleanup::{
            self,
            cleanup_whiteouts, //
        },
        temp::Temp,
        temp_name,
        Upper, //
    }, //
};
use kernel::prelude::*;
use stacking::{
    namei::Target, //
};
use vfs::{
    dentry::Dentry,
    namei::{
        RenameFlag,
        RenameFlags, //
    },
    Foreign,
    Ref, //
};

impl Super {
    /// Removes the shared whiteout, if there is one, so that nothing is left in the work directory.
    ///
    /// Where that cannot be done now the next mount does it: on a file system that is read-only or
    /// frozen, and for a volatile mount, which has left a mark there anyway.
    pub(crate) fn remove_shared_whiteout(&self) {
        if !self.config.should_sync() {
            return;
        }
        let Some(whiteout) = self.whiteout.lock().whiteout.take() else {
            return;
        };
        let (Ok(mount), Ok(work)) = (self.upper_mount(), self.work()) else {
            return;
        };
        let Ok(write) = mount.try_want_write() else {
            return;
        };
        // Somebody may have removed it behind our back.
        if !whiteout.dentry().is_unhashed() {
            let (work, whiteout) = (work.dir.dentry(), whiteout.dentry());
            self.as_mounter(|m| cleanup::remove_logged(m, &write, work, whiteout));
        }
    }
}

impl<'a> Upper<'a> {
    /// Makes a whiteout in the work directory.
    fn make_whiteout(&self) -> Result<Temp<'a>> {
        let work = self.work()?;
        let mut shared = self.ofs.whiteout.lock();
        let whiteout = match &shared.whiteout {
            Some(whiteout) => self.ofs.keep_upper(Ref::from(whiteout.dentry()))?,
            None => {
                let name = temp_name();
                let made = self.start_creating(work, name.as_bytes())?.whiteout()?;
                let made = self.made_in_work(name.as_bytes(), made)?;
                shared.whiteout = Some(self.path(&made)?.to_path());
                made
            }
        };
        if !shared.disabled {
            let name = temp_name();
            match self.start_creating(work, name.as_bytes())?.link(&whiteout) {
                Ok(link) => {
                    return Temp::new(*self, self.made_in_work(name.as_bytes(), link)?);
                }
                // This one has as many links as it can have; the next call makes another.
                Err(err) if err == EMLINK => {}
                Err(err) => {
                    log::warn_dentry(
                        c"Failed to link whiteout - disabling whiteout inode sharing",
                        &whiteout,
                        err,
                    );
                    shared.disabled = true;
                }
            }
        }
        // The shared one itself is used up.
        shared.whiteout = None;
        Temp::new(*self, whiteout)
    }

    /// Puts a whiteout in the place of `dentry` in the directory `dir`, and removes `dentry`, which
    /// may be negative. In a directory nothing may be but `whiteouts`, which go with it.
    pub(crate) fn replace_by_whiteout(
        &self,
        dir: &'a Dentry<Foreign>,
        dentry: &Dentry<Foreign>,
        whiteouts: &Names,
    ) -> Result {
        let is_dir = dentry.is_dir();
        // Nothing but a directory can replace one, so they are exchanged.
        let flags = if is_dir {
            RenameFlag::Exchange.into()
        } else {
            RenameFlags::NONE
        };
        let whiteout = self.make_whiteout()?;
        let renaming = if dentry.is_negative() && dentry.is_unhashed() {
            // A directory that folds case does not cache that a name is free.
            dentry.with_name(|name| whiteout.start_moving_to_name(dir, name, Target::New))?
        } else {
            whiteout.start_moving_to(dir, dentry, flags)?
        };
        renaming.rename()?;
        whiteout.moved()?;
        self.ofs.stats.count(Counter::Whiteouts);
        if is_dir {
            // It is in the work directory now, where nobody sees it being emptied.
            cleanup_whiteouts(self.m, self.write, dentry, whiteouts);
            self.cleanup(self.work()?, dentry);
        }
        Ok(())
    }
}
