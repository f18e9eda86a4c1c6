// SPDX-License-Identifier: GPL-2.0

//! The table of mount options, those of fs/overlayfs and three more.

use crate::object::config::{
    FsyncMode,
    RedirectMode,
    SyncfsMode,
    UuidMode,
    VerityMode,
    XinoMode, //
};
use vfs::fs_context::{
    Parameter,
    ParameterTable,
    Parameters,
    Words, //
};

/// A mount option.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Opt {
    Lowerdir,
    LowerdirAdd,
    DatadirAdd,
    Upperdir,
    Workdir,
    DefaultPermissions,
    RedirectDir,
    Index,
    Uuid,
    NfsExport,
    Userxattr,
    Xino,
    Metacopy,
    Verity,
    Fsync,
    Volatile,
    OverrideCreds,
    RequireRw,
    Syncfs,
    Live,
}

impl Opt {
    /// All, by their numbers.
    const ALL: [Self; 20] = [
        Self::Lowerdir,
        Self::LowerdirAdd,
        Self::DatadirAdd,
        Self::Upperdir,
        Self::Workdir,
        Self::DefaultPermissions,
        Self::RedirectDir,
        Self::Index,
        Self::Uuid,
        Self::NfsExport,
        Self::Userxattr,
        Self::Xino,
        Self::Metacopy,
        Self::Verity,
        Self::Fsync,
        Self::Volatile,
        Self::OverrideCreds,
        Self::RequireRw,
        Self::Syncfs,
        Self::Live,
    ];

    /// The option with number `n`.
    pub(crate) fn from_number(n: u32) -> Option<Self> {
        Self::ALL.get(usize::try_from(n).ok()?).copied()
    }

    /// Its number.
    const fn number(self) -> u8 {
        // CAST: small numbers.
        self as u8
    }
}

// CAST: small numbers.

static ON_OFF: Words<2> = Words::new([(c"off", 0), (c"on", 1)]);
static UUID: Words<4> = Words::new([
    (c"off", UuidMode::Off as u8),
    (c"null", UuidMode::Null as u8),
    (c"auto", UuidMode::Auto as u8),
    (c"on", UuidMode::On as u8),
]);
static XINO: Words<3> = Words::new([
    (c"off", XinoMode::Off as u8),
    (c"auto", XinoMode::Auto as u8),
    (c"on", XinoMode::On as u8),
]);
/// What `off` means is up to a module parameter.
static REDIRECT: Words<4> = Words::new([
    (c"off", 0),
    (c"follow", RedirectMode::Follow as u8),
    (c"nofollow", RedirectMode::Nofollow as u8),
    (c"on", RedirectMode::On as u8),
]);
static VERITY: Words<3> = Words::new([
    (c"off", VerityMode::Off as u8),
    (c"on", VerityMode::On as u8),
    (c"require", VerityMode::Require as u8),
]);
static FSYNC: Words<3> = Words::new([
    (c"volatile", FsyncMode::Volatile as u8),
    (c"auto", FsyncMode::Auto as u8),
    (c"strict", FsyncMode::Strict as u8),
]);
static SYNCFS: Words<2> = Words::new([
    (c"own", SyncfsMode::Own as u8),
    (c"upper", SyncfsMode::Upper as u8),
]);

static OPTIONS: Parameters<20> = Parameters::new([
    Parameter::string_or_empty(c"lowerdir", Opt::Lowerdir.number()),
    Parameter::file_or_string(c"lowerdir+", Opt::LowerdirAdd.number()),
    Parameter::file_or_string(c"datadir+", Opt::DatadirAdd.number()),
    Parameter::file_or_string(c"upperdir", Opt::Upperdir.number()),
    Parameter::file_or_string(c"workdir", Opt::Workdir.number()),
    Parameter::flag(c"default_permissions", Opt::DefaultPermissions.number()),
    Parameter::word(c"redirect_dir", Opt::RedirectDir.number(), &REDIRECT),
    Parameter::word(c"index", Opt::Index.number(), &ON_OFF),
    Parameter::word(c"uuid", Opt::Uuid.number(), &UUID),
    Parameter::word(c"nfs_export", Opt::NfsExport.number(), &ON_OFF),
    Parameter::flag(c"userxattr", Opt::Userxattr.number()),
    Parameter::word(c"xino", Opt::Xino.number(), &XINO),
    Parameter::word(c"metacopy", Opt::Metacopy.number(), &ON_OFF),
    Parameter::word(c"verity", Opt::Verity.number(), &VERITY),
    Parameter::word(c"fsync", Opt::Fsync.number(), &FSYNC),
    Parameter::flag(c"volatile", Opt::Volatile.number()),
    Parameter::flag_no(c"override_creds", Opt::OverrideCreds.number()),
    // Not options of fs/overlayfs.
    Parameter::flag(c"require_rw", Opt::RequireRw.number()),
    Parameter::word(c"syncfs", Opt::Syncfs.number(), &SYNCFS),
    Parameter::flag(c"live", Opt::Live.number()),
]);

/// The table.
#[inline]
pub(crate) fn parameters() -> ParameterTable {
    OPTIONS.table()
}
