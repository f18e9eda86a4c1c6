// SPDX-License-Identifier: GPL-2.0

//! Options that exclude each other, or ask for what this version does not do.

use crate::{
    mount::options::layer_list::LayerList,
    object::config::{
        Config,
        FsyncMode,
        Given,
        RedirectMode,
        UuidMode,
        VerityMode,
        XinoMode, //
    }, //
};
use kernel::prelude::*;
use stacking::cred::AsMounter;
use vfs::fs_context::FsContext;

/// How many lower layers a mount whose layers change begins with at most: it is to have room for more.
const LIVE_LOWER: usize = 100;

impl Config {
    /// Makes the options consistent, in the order of fs/overlayfs: what was given wins over a
    /// default, two that were given and exclude each other are refused.
    ///
    /// Every change is told in the log of the mount.
    pub(crate) fn verify(
        &mut self,
        m: &AsMounter,
        given: &Given,
        layers: &LayerList,
        fc: &FsContext,
    ) -> Result {
        let has_upper = layers.upper.is_some();
        let mut given = *given;
        if !has_upper {
            self.without_upper(&mut given, fc)?;
        }
        if self.live {
            self.prepare_live(&given, layers, fc)?;
        }
        let given = &given;
        if !has_upper && self.redirect == RedirectMode::Follow {
            // The same, because nothing is renamed. It is what /proc/mounts shows.
            self.redirect = RedirectMode::On;
        }
        self.metacopy_needs_redirect(given, fc)?;
        self.export_needs_index(given, has_upper, fc)?;
        self.export_excludes_metacopy(given, fc)?;
        if self.userxattr {
            // Untrusted layers: what they say about redirects is not followed.
            if given.redirect.is_some() && self.redirect != RedirectMode::Nofollow {
                fc.error(fmt!(
                    "conflicting options: userxattr,redirect_dir={}",
                    self.redirect.word()
                ));
                return Err(EINVAL);
            }
            if self.metacopy && given.metacopy.is_some() {
                fc.error(fmt!("conflicting options: userxattr,metacopy=on"));
                return Err(EINVAL);
            }
            self.redirect = RedirectMode::Nofollow;
            self.metacopy = false;
        }
        self.refuse_unprivileged(m, given, layers, fc)
    }

    /// A file without data can be renamed only if it then says where the data is.
    fn metacopy_needs_redirect(&mut self, given: &Given, fc: &FsContext) -> Result {
        if !self.metacopy || self.redirect == RedirectMode::On {
            return Ok(());
        }
        let redirect = self.redirect.word();
        if given.redirect.is_none() {
            self.redirect = RedirectMode::On;
        } else if given.metacopy.is_some() {
            fc.error(fmt!(
                "conflicting options: metacopy=on,redirect_dir={redirect}"
            ));
            return Err(EINVAL);
        } else {
            fc.info(fmt!("disabling metacopy due to redirect_dir={redirect}"));
            self.metacopy = false;
        }
        Ok(())
    }

    /// A handle of something that was copied up is found again by the index. Without an upper layer
    /// nothing is, but redirects would have to be followed backwards.
    fn export_needs_index(&mut self, given: &Given, has_upper: bool, fc: &FsContext) -> Result {
        if !self.nfs_export || self.index {
            return Ok(());
        }
        if !has_upper && self.redirect != RedirectMode::Nofollow {
            fc.info(fmt!(
                "NFS export requires \"redirect_dir=nofollow\" on non-upper mount, falling back to \
                 nfs_export=off."
            ));
            self.nfs_export = false;
        } else if given.nfs_export.is_some() && given.index.is_some() {
            fc.error(fmt!("conflicting options: nfs_export=on,index=off"));
            return Err(EINVAL);
        } else if given.index.is_some() {
            fc.info(fmt!("disabling nfs_export due to index=off"));
            self.nfs_export = false;
        } else {
            self.index = true;
        }
        Ok(())
    }

    /// Handles of files whose data is in a lower layer cannot be decoded.
    fn export_excludes_metacopy(&mut self, given: &Given, fc: &FsContext) -> Result {
        if !self.nfs_export || !self.metacopy {
            return Ok(());
        }
        if given.nfs_export.is_some() && given.metacopy.is_some() {
            fc.error(fmt!("conflicting options: nfs_export=on,metacopy=on"));
            return Err(EINVAL);
        }
        if given.metacopy.is_some() {
            fc.info(fmt!("disabling nfs_export due to metacopy=on"));
            self.nfs_export = false;
        } else if self.verity != VerityMode::Off {
            fc.info(fmt!(
                "disabling nfs_export due to verity={}",
                self.verity.word()
            ));
            self.nfs_export = false;
        } else {
            fc.info(fmt!("disabling metacopy due to nfs_export=on"));
            self.metacopy = false;
        }
        Ok(())
    }

    /// Refuses what only attributes in `trusted.` can say to a mounter who cannot access them.
    fn refuse_unprivileged(
        &self,
        m: &AsMounter,
        given: &Given,
        layers: &LayerList,
        fc: &FsContext,
    ) -> Result {
        if self.userxattr || m.is_admin() {
            return Ok(());
        }
        let option = if given.redirect.is_some() && self.redirect != RedirectMode::Nofollow {
            "redirect_dir"
        } else if given.metacopy.is_some() && self.metacopy {
            "metacopy"
        } else if self.verity != VerityMode::Off {
            "verity"
        } else if layers.num_data > 0 {
            "lower data-only dirs (datadir+, or after \"::\")"
        } else {
            return Ok(());
        };
        fc.error(fmt!(
            "{option} requires permission to access trusted xattrs"
        ));
        Err(EPERM)
    }

    /// What cannot be where layers change: what looks for an object by what is stored of its place in the layers,
    /// and what has a part of it in a layer that may go. What was not given is turned off.
    fn prepare_live(&mut self, given: &Given, layers: &LayerList, fc: &FsContext) -> Result {
        let conflict = if layers.upper.is_none() {
            "no upperdir"
        } else if given.index == Some(true) {
            "index=on"
        } else if given.nfs_export == Some(true) {
            "nfs_export=on"
        } else if given.metacopy == Some(true) {
            "metacopy=on"
        } else if given.xino == Some(XinoMode::On) {
            "xino=on"
        } else if self.verity != VerityMode::Off {
            "verity"
        } else if self.fsync == FsyncMode::Volatile {
            "volatile"
        } else if layers.num_data > 0 {
            "lower data-only dirs (datadir+, or after \"::\")"
        } else if layers.lower.len() > LIVE_LOWER {
            "so many lower layers"
        } else {
            (self.index, self.nfs_export, self.metacopy) = (false, false, false);
            if self.xino == XinoMode::On {
                self.xino = XinoMode::Auto;
            }
            return Ok(());
        };
        fc.error(fmt!("conflicting options: live and {conflict}"));
        Err(EINVAL)
    }

    /// What only an upper layer gives a meaning to.
    fn without_upper(&mut self, given: &mut Given, fc: &FsContext) -> Result {
        if self.require_rw {
            fc.error(fmt!("require_rw needs an upperdir"));
            return Err(EINVAL);
        }
        if self.index && given.index.is_some() {
            fc.info(fmt!(
                "option \"index=on\" is useless in a non-upper mount, ignore"
            ));
            given.index = None;
        }
        self.index = false;
        if self.fsync == FsyncMode::Volatile {
            fc.info(fmt!(
                "option \"volatile\" is meaningless in a non-upper mount, ignoring it."
            ));
            self.fsync = FsyncMode::Auto;
        }
        if self.uuid == UuidMode::On {
            fc.info(fmt!(
                "option \"uuid=on\" requires an upper fs, falling back to uuid=null."
            ));
            self.uuid = UuidMode::Null;
        }
        Ok(())
    }
}

#[cfg(rovl_kunit)]
#[kernel::macros::kunit_tests(rovl_options)]
mod tests {
    use super::*;

    #[test]
    fn defaults_allow_changes_while_not_mounted() {
        let mut config = Config::new();
        config.redirect = RedirectMode::Follow;
        config.index = false;
        config.metacopy = false;
        config.xino = XinoMode::Auto;
        assert!(config.allow_offline_changes());
        config.xino = XinoMode::On;
        assert!(!config.allow_offline_changes());
    }

    #[test]
    fn the_mode_of_syncing_says_what_is_synced() {
        let mut config = Config::new();
        config.fsync = FsyncMode::Volatile;
        assert!(!config.should_sync() && !config.should_sync_metadata());
        config.fsync = FsyncMode::Auto;
        assert!(config.should_sync() && !config.should_sync_metadata());
        config.fsync = FsyncMode::Strict;
        assert!(config.should_sync() && config.should_sync_metadata());
    }

    #[test]
    fn a_uuid_of_its_own_gives_the_overlay_an_fsid() {
        let mut config = Config::new();
        for (uuid, has_fsid, origin_uuid) in [
            (UuidMode::Off, false, false),
            (UuidMode::Null, false, true),
            (UuidMode::Auto, true, true),
            (UuidMode::On, true, true),
        ] {
            config.uuid = uuid;
            assert_eq!(config.has_fsid(), has_fsid);
            assert_eq!(config.origin_uuid(), origin_uuid);
        }
    }
}
