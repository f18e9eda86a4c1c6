// SPDX-License-Identifier: GPL-2.0

//! What the upper file system can do, found out in a fresh work directory.

use crate::{
    listing::names::d_type_supported,
    mount::workdir::{
        Making, //
        FILE_MODE,
    },
    object::config::{
        Config,
        RedirectMode,
        UuidMode,
        XinoMode, //
    },
    upper::{
        self,
        cleanup,
        Make, //
    }, //
};
use kernel::prelude::*;
use ondisk::{
    marker,
    xattr::Name, //
};
use stacking::{
    namei::Target,
    path::LayerPath, //
};
use vfs::{
    dentry::Dentry,
    errno::WithReason,
    namei::RenameFlag,
    Foreign, //
};

/// What the upper file system can do.
pub(crate) struct Probe {
    /// Unnamed files.
    pub(crate) tmpfile: bool,
    /// Our extended attributes.
    pub(crate) xattr: bool,
}

impl Probe {
    /// Finds it out in `work`, and tells what is missing.
    ///
    /// Returns `EINVAL` for a network file system that lacks anything that is needed to be right; a
    /// local one that does was always allowed.
    pub(crate) fn run(
        making: &Making<'_>,
        config: &mut Config,
        work: &Dentry<Foreign>,
    ) -> Result<Self> {
        let (fc, name) = (making.fc, &making.base.name);
        let d_type = making.d_type()?;
        if !d_type {
            fc.warn(fmt!("workdir: {name}: upper fs needs to support d_type."));
        }
        let tmpfile = making.tmpfile(work);
        if !tmpfile {
            fc.warn(fmt!("workdir: {name}: upper fs does not support tmpfile."));
        }
        let rename_whiteout = making.rename_whiteout(work).inspect_err(|err| {
            fc.error(fmt!(
                "workdir: cannot rename in {name}/work (errno: {})",
                err.class().to_errno().saturating_neg()
            ))
        })?;
        if !rename_whiteout {
            fc.warn(fmt!(
                "workdir: {name}: upper fs does not support RENAME_WHITEOUT."
            ));
        }
        let xattr = match making.xattr(config, work) {
            Ok(()) => true,
            Err(err) => {
                making.without_xattr(config, err);
                false
            }
        };
        if work.is_remote() && !(d_type && rename_whiteout && xattr) {
            fc.error(fmt!("workdir: {name}: upper fs missing required features."));
            return Err(EINVAL);
        }
        Ok(Self { tmpfile, xattr })
    }
}

impl Making<'_> {
    /// Whether reading a directory tells the types of its entries. The work directory is one by now.
    fn d_type(&self) -> Result<bool> {
        let path = LayerPath::new(self.write.mount(), self.base.path.dentry())?;
        d_type_supported(self.m, path).inspect_err(|err| {
            self.fc.error(fmt!(
                "workdir: cannot read directory {} (errno: {})",
                self.base.name,
                err.class().to_errno().saturating_neg()
            ))
        })
    }

    fn tmpfile(&self, work: &Dentry<Foreign>) -> bool {
        self.write.tmpfile(self.m, work, FILE_MODE).is_ok()
    }

    /// Whether a rename can leave a whiteout.
    fn rename_whiteout(&self, work: &Dentry<Foreign>) -> Result<bool> {
        let temp = upper::create_temp_in(self.m, self.write, work, Make::File(FILE_MODE))?;
        temp.with_name(|old| {
            let result = self.rename_leaving_whiteout(work, &temp, old);
            self.clean_up(work, &temp);
            result
        })
    }

    /// Renames `temp`, which is called `old`. Whether that left a whiteout, which is removed.
    fn rename_leaving_whiteout(
        &self,
        work: &Dentry<Foreign>,
        temp: &Dentry<Foreign>,
        old: &[u8],
    ) -> Result<bool> {
        let new = upper::temp_name();
        let renaming = self.write.start_renaming_dentry(
            self.m,
            (work, temp),
            (work, new.as_bytes()),
            Target::Any,
            RenameFlag::Whiteout.into(),
        )?;
        match renaming.rename() {
            Ok(()) => {}
            Err(err) if err.is(EINVAL) => return Ok(false),
            Err(err) => return Err(err),
        }
        let path = LayerPath::new(self.write.mount(), work)?;
        let left = path.lookup(self.m, old)?;
        let is_whiteout = left.is_whiteout_device();
        if is_whiteout {
            self.clean_up(work, &left);
        }
        Ok(is_whiteout)
    }

    /// Removes `dentry` from the work directory. What stays is removed by the next mount.
    fn clean_up(&self, work: &Dentry<Foreign>, dentry: &Dentry<Foreign>) {
        cleanup::remove_logged(self.m, self.write, work, dentry);
    }

    /// Sets and removes one of our attributes.
    fn xattr(&self, config: &Config, work: &Dentry<Foreign>) -> Result {
        let name = Name::Opaque.full(config.namespace());
        self.write.setxattr(self.m, work, name, marker::PROBE)?;
        // It means nothing, so it may as well stay.
        let _ = self.write.removexattr(self.m, work, name);
        Ok(())
    }

    /// Turns off what needs our attributes.
    fn without_xattr(&self, config: &mut Config, err: Error) {
        self.fc.warn(fmt!(
            "workdir: {}: failed to set xattr on upper (errno: {})",
            self.base.name,
            err.class().to_errno().saturating_neg()
        ));
        let fall_back = |to: &str| self.fc.warn(fmt!("...falling back to {to}"));
        if config.redirect != RedirectMode::Nofollow {
            config.redirect = RedirectMode::Nofollow;
            fall_back("redirect_dir=nofollow");
        }
        if config.metacopy {
            config.metacopy = false;
            fall_back("metacopy=off");
        }
        if config.index {
            config.index = false;
            fall_back("index=off");
        }
        if config.has_fsid() {
            config.uuid = UuidMode::Null;
            fall_back("uuid=null");
        }
        // Inode numbers are not the same after the next mount.
        if config.xino == XinoMode::Auto {
            config.xino = XinoMode::Off;
            fall_back("xino=off");
        }
        if err.is(EPERM) && !config.userxattr {
            self.fc.info(fmt!("try mounting with 'userxattr' option"));
        }
    }
}
