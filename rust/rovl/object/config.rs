// SPDX-License-Identifier: GPL-2.0

//! The options of a mount, as they are in force.

use crate::object::{
    module_parameters,
    text::Text, //
};
use kernel::prelude::*;
use ondisk::xattr::Namespace;

/// The option `redirect_dir`.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum RedirectMode {
    /// Redirects are followed.
    Follow = 1,
    /// Redirects are refused.
    Nofollow = 2,
    /// Redirects are followed and made.
    On = 3,
}

/// The option `uuid`.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum UuidMode {
    /// The UUIDs of the layers are ignored.
    Off = 0,
    /// The overlay has none.
    Null = 1,
    /// The overlay has a persistent one if it is new.
    Auto = 2,
    /// The overlay has a persistent one.
    On = 3,
}

/// The option `xino`.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum XinoMode {
    /// Inode numbers do not carry the layer's file system.
    Off = 0,
    /// They do, where there is room for it.
    Auto = 1,
    /// They do, and it is told where there is no room for it.
    On = 2,
}

/// The option `verity`.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum VerityMode {
    /// Digests are ignored.
    Off = 0,
    /// Digests are checked where there are any.
    On = 1,
    /// There has to be a digest.
    Require = 2,
}

/// The option `fsync`.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum FsyncMode {
    /// Nothing is synced.
    Volatile = 0,
    /// Data is synced at copy up.
    Auto = 1,
    /// Metadata too.
    Strict = 2,
}

/// The option `syncfs`. The VFS takes `sync`, with any value, as a flag of the mount.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum SyncfsMode {
    /// What was changed through the overlay.
    Own = 0,
    /// All of the upper file system.
    Upper = 1,
}

/// The options of a mount.
pub(crate) struct Config {
    /// The upper directory, as the user named it.
    pub(crate) upperdir: Option<Text>,
    /// The work directory, as the user named it.
    pub(crate) workdir: Option<Text>,
    /// The value of `lowerdir`, as the user gave it.
    pub(crate) lowerdir_all: Option<Text>,
    /// The names of the lower layers, if they were given one by one.
    pub(crate) lowerdirs: KVec<Text>,
    /// Shown, without effect.
    pub(crate) default_permissions: bool,
    /// See [`RedirectMode`].
    pub(crate) redirect: RedirectMode,
    /// Hard links are kept together over copy up.
    pub(crate) index: bool,
    /// See [`UuidMode`].
    pub(crate) uuid: UuidMode,
    /// File handles can be decoded.
    pub(crate) nfs_export: bool,
    /// See [`XinoMode`].
    pub(crate) xino: XinoMode,
    /// Only metadata is copied up where that is enough.
    pub(crate) metacopy: bool,
    /// Our attributes are in the namespace `user`.
    pub(crate) userxattr: bool,
    /// See [`VerityMode`].
    pub(crate) verity: VerityMode,
    /// See [`FsyncMode`].
    pub(crate) fsync: FsyncMode,
    /// See [`SyncfsMode`].
    pub(crate) syncfs: SyncfsMode,
    /// A mount that could only be read-only is refused.
    pub(crate) require_rw: bool,
    /// Layers change while it is mounted.
    pub(crate) live: bool,
}

impl Config {
    /// The defaults, as the module parameters have them now.
    #[inline]
    pub(crate) fn new() -> Self {
        Self {
            upperdir: None,
            workdir: None,
            lowerdir_all: None,
            lowerdirs: KVec::new(),
            default_permissions: false,
            redirect: Self::default_redirect(),
            index: module_parameters::index(),
            uuid: UuidMode::Auto,
            nfs_export: module_parameters::nfs_export(),
            xino: Self::default_xino(),
            metacopy: module_parameters::metacopy(),
            userxattr: false,
            verity: VerityMode::Off,
            fsync: FsyncMode::Auto,
            syncfs: SyncfsMode::Own,
            require_rw: false,
            live: false,
        }
    }

    pub(crate) fn default_redirect() -> RedirectMode {
        if module_parameters::redirect_dir() {
            RedirectMode::On
        } else {
            Self::redirect_off()
        }
    }

    /// What `redirect_dir=off` means.
    pub(crate) fn redirect_off() -> RedirectMode {
        if module_parameters::redirect_always_follow() {
            RedirectMode::Follow
        } else {
            RedirectMode::Nofollow
        }
    }

    pub(crate) fn default_xino() -> XinoMode {
        if module_parameters::xino_auto() {
            XinoMode::Auto
        } else {
            XinoMode::Off
        }
    }

    /// Where our extended attributes are.
    #[inline]
    pub(crate) fn namespace(&self) -> Namespace {
        Namespace::from_userxattr(self.userxattr)
    }

    /// Whether anything is synced at all.
    pub(crate) fn should_sync(&self) -> bool {
        self.fsync != FsyncMode::Volatile
    }

    /// Whether a sync is one of what was changed through the overlay, where that is possible.
    pub(crate) fn syncs_own(&self) -> bool {
        self.syncfs == SyncfsMode::Own
    }

    /// Whether metadata is synced at copy up.
    pub(crate) fn should_sync_metadata(&self) -> bool {
        self.fsync == FsyncMode::Strict
    }

    /// Whether the overlay has an identity of its own in `statfs()`.
    pub(crate) fn has_fsid(&self) -> bool {
        matches!(self.uuid, UuidMode::On | UuidMode::Auto)
    }

    /// Whether file handles of layers carry the UUID of their file system.
    pub(crate) fn origin_uuid(&self) -> bool {
        self.uuid != UuidMode::Off
    }

    /// Whether directories are in the index too, and everything that is copied up, so that file
    /// handles can be decoded.
    pub(crate) fn index_all(&self) -> bool {
        self.index && self.nfs_export
    }

    /// Whether a lower layer may change while it is not mounted.
    pub(crate) fn allow_offline_changes(&self) -> bool {
        !self.index
            && !self.metacopy
            && self.redirect != RedirectMode::On
            && self.xino != XinoMode::On
    }
}

/// What was given, and not only the default. The mount may have got less.
#[derive(Clone, Copy, Default)]
pub(crate) struct Given {
    pub(crate) redirect: Option<RedirectMode>,
    pub(crate) index: Option<bool>,
    pub(crate) uuid: Option<UuidMode>,
    pub(crate) nfs_export: Option<bool>,
    pub(crate) xino: Option<XinoMode>,
    pub(crate) metacopy: Option<bool>,
    pub(crate) verity: Option<VerityMode>,
    pub(crate) fsync: Option<FsyncMode>,
    pub(crate) syncfs: Option<SyncfsMode>,
    /// Layers are accessed with credentials of `override_creds`.
    pub(crate) creds: bool,
}
