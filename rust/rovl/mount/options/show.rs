// SPDX-License-Identifier: GPL-2.0

//! Mount options as `/proc/mounts` shows them.

use crate::object::{
    config::{
        Config,
        FsyncMode,
        RedirectMode,
        SyncfsMode,
        UuidMode,
        VerityMode,
        XinoMode, //
    },
    module_parameters, //
};
use kernel::str::CStr;
use vfs::super_block::SeqOptions;

pub(crate) fn on_off(on: bool) -> &'static CStr {
    if on {
        c"on"
    } else {
        c"off"
    }
}

impl Config {
    /// Shows what differs from the current defaults; `same_fs` hides `xino`, which is without
    /// meaning then. Layers come before that.
    pub(crate) fn show(&self, m: &SeqOptions<'_>, same_fs: bool) {
        if self.default_permissions {
            m.flag(c"default_permissions");
        }
        if self.redirect != Self::default_redirect() {
            m.value(c"redirect_dir", self.redirect.word());
        }
        if self.index != module_parameters::index() {
            m.value(c"index", on_off(self.index));
        }
        if self.uuid != UuidMode::Auto {
            m.value(c"uuid", self.uuid.word());
        }
        if self.nfs_export != module_parameters::nfs_export() {
            m.value(c"nfs_export", on_off(self.nfs_export));
        }
        if self.xino != Self::default_xino() && !same_fs {
            m.value(c"xino", self.xino.word());
        }
        if self.metacopy != module_parameters::metacopy() {
            m.value(c"metacopy", on_off(self.metacopy));
        }
        if self.fsync != FsyncMode::Auto {
            m.value(c"fsync", self.fsync.word());
        }
        if self.userxattr {
            m.flag(c"userxattr");
        }
        if self.verity != VerityMode::Off {
            m.value(c"verity", self.verity.word());
        }
        if self.syncfs != SyncfsMode::Own {
            m.value(c"syncfs", self.syncfs.word());
        }
        if self.require_rw {
            m.flag(c"require_rw");
        }
        if self.live {
            m.flag(c"live");
        }
    }

    /// Shows the layers that the mount was made with. The last `num_data` lower ones only hold data.
    pub(crate) fn show_layers(&self, m: &SeqOptions<'_>, num_data: usize) {
        if let Some(all) = &self.lowerdir_all {
            m.value(c"lowerdir", all.as_cstr());
        } else {
            let merged = self.lowerdirs.len().saturating_sub(num_data);
            for (i, name) in self.lowerdirs.iter().enumerate() {
                let option = if i < merged {
                    c"lowerdir+"
                } else {
                    c"datadir+"
                };
                m.value(option, name.as_cstr());
            }
        }
        if let (Some(upper), Some(work)) = (&self.upperdir, &self.workdir) {
            m.value(c"upperdir", upper.as_cstr());
            m.value(c"workdir", work.as_cstr());
        }
    }
}

impl RedirectMode {
    /// The word of the option.
    pub(crate) fn word(self) -> &'static CStr {
        match self {
            Self::Follow => c"follow",
            Self::Nofollow => c"nofollow",
            Self::On => c"on",
        }
    }
}

impl UuidMode {
    pub(crate) fn word(self) -> &'static CStr {
        match self {
            Self::Off => c"off",
            Self::Null => c"null",
            Self::Auto => c"auto",
            Self::On => c"on",
        }
    }
}

impl XinoMode {
    /// The word of the option.
    pub(crate) fn word(self) -> &'static CStr {
        match self {
            Self::Off => c"off",
            Self::Auto => c"auto",
            Self::On => c"on",
        }
    }
}

impl VerityMode {
    pub(crate) fn word(self) -> &'static CStr {
        match self {
            Self::Off => c"off",
            Self::On => c"on",
            Self::Require => c"require",
        }
    }
}

impl FsyncMode {
    pub(crate) fn word(self) -> &'static CStr {
        match self {
            Self::Volatile => c"volatile",
            Self::Auto => c"auto",
            Self::Strict => c"strict",
        }
    }
}

impl SyncfsMode {
    pub(crate) fn word(self) -> &'static CStr {
        match self {
            Self::Own => c"own",
            Self::Upper => c"upper",
        }
    }
}
