// SPDX-License-Identifier: GPL-2.0
//! The loops that are cut off: the options of the mount, and what is done.

/// Kinds of operations, one for each weight.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Of a file.
    Chmod,
    /// Of a file.
    Chown,
    /// Of a symbolic link.
    ChownLink,
    /// Of a directory.
    ChmodDir,
    /// See `Operation`.
    Open,
    /// See `Operation`.
    Rewrite,
    /// See `Operation`.
    Truncate,
    /// See `Operation`.
    Attribute,
    /// Of a file that is there.
    Replace,
    /// Under a new name.
    Create,
    /// Of a file, to a new name.
    Rename,
    /// Of a file, over another.
    RenameOver,
    /// Of two files.
    Exchange,
    /// Of a directory, to a new name.
    RenameDir,
    /// Of two directories.
    ExchangeDir,
    /// See `Operation`.
    Link,
    /// Of a file.
    Unlink,
    /// See `Operation`.
    Rmdir,
    /// See `Operation`.
    Mkdir,
    /// See `Operation`.
    Symlink,
    /// See `Operation`, of a name that is there or of a new one.
    Write,
    /// See `Operation`.
    Map,
    /// See `Operation`.
    Unnamed,
    /// See `Operation`.
    Sync,
    /// See `Operation`.
    Remount,
    /// See `Operation`.
    Unmount,
    /// See `Operation`.
    Checkpoint,
    /// See `Operation`, to any checkpoint that there is.
    Rollback,
}

use Kind::*;

/// A loop.
#[derive(Debug)]
pub struct Scenario {
    /// How it is called.
    pub name: &'static str,
    /// Options of the mount.
    pub options: &'static [(&'static str, &'static str)],
    /// What is done, the more often the more likely.
    pub kinds: &'static [Kind],
    /// Whether files of the lower layers have several names.
    pub has_lower_links: bool,
    /// Whether the modification times of files that nobody wrote to are compared.
    pub compares_times: bool,
    /// Whether data is written without being synced, and it is looked at just after syncs.
    pub at_syncs: bool,
    /// Whether layers change under the mount, which then is one of our own type first.
    pub is_live: bool,
    /// Whether nothing is synced: damage has to be found, or the check would find none at all.
    pub is_control: bool,
}

impl Scenario {
    /// Whether the file system below is one where a copy cannot share its data with the original, so that
    /// it has to be written.
    pub fn copies_data(&self) -> bool {
        self.name.starts_with("copy-up")
    }
}

const COPY_UP: &[Kind] = &[
    Chmod, Chmod, Chown, ChownLink, ChmodDir, Open, Open, Rewrite, Truncate, Attribute, Replace,
    Create, Rename, RenameOver, Exchange, Link, Unlink, Unlink, Rmdir, Mkdir, Symlink,
];

/// All loops.
pub const ALL: &[Scenario] = &[
    Scenario {
        name: "copy-up",
        options: &[("fsync", "auto")],
        kinds: COPY_UP,
        has_lower_links: false,
        compares_times: true,
        at_syncs: false,
        is_live: false,
        is_control: false,
    },
    Scenario {
        name: "copy-up-strict",
        options: &[("fsync", "strict")],
        kinds: COPY_UP,
        has_lower_links: false,
        compares_times: true,
        at_syncs: false,
        is_live: false,
        is_control: false,
    },
    Scenario {
        name: "redirect",
        options: &[("redirect_dir", "on")],
        kinds: &[
            RenameDir,
            RenameDir,
            RenameDir,
            RenameDir,
            ExchangeDir,
            ChmodDir,
            Chmod,
            Create,
            Rename,
            RenameOver,
            Unlink,
            Unlink,
            Rmdir,
            Mkdir,
            Symlink,
        ],
        has_lower_links: false,
        compares_times: true,
        at_syncs: false,
        is_live: false,
        is_control: false,
    },
    Scenario {
        name: "metacopy",
        // Not truncated: the size and the mark that the data is elsewhere change one by one.
        options: &[("redirect_dir", "on"), ("metacopy", "on")],
        kinds: &[
            Chmod, Chmod, Chown, Chown, Open, Open, Open, Rewrite, Rewrite, Attribute, Create,
            Rename, Rename, RenameOver, Exchange, RenameDir, Link, Unlink, Rmdir,
        ],
        has_lower_links: false,
        // The data that comes later sets the time anew.
        compares_times: false,
        at_syncs: false,
        is_live: false,
        is_control: false,
    },
    Scenario {
        name: "index",
        options: &[("index", "on")],
        kinds: &[
            Chmod, Chmod, Chown, Open, Rewrite, Truncate, Attribute, Replace, Create, Rename,
            Rename, RenameOver, Exchange, Link, Link, Unlink, Unlink, Unlink,
        ],
        has_lower_links: true,
        compares_times: true,
        at_syncs: false,
        is_live: false,
        is_control: false,
    },
    Scenario {
        name: "sync",
        options: &[("redirect_dir", "on")],
        kinds: &[
            Sync, Sync, Sync, Sync, Sync, Remount, Remount, Unmount, Unmount, Unmount, Write,
            Write, Write, Write, Write, Map, Map, Map, Unnamed, Unnamed, Chmod, Chown, Open,
            Attribute, Create, Rename, RenameOver, Exchange, RenameDir, Link, Unlink, Unlink,
            Rmdir, Mkdir, Symlink,
        ],
        has_lower_links: false,
        compares_times: false,
        at_syncs: true,
        is_live: false,
        is_control: false,
    },
    Scenario {
        name: "live",
        // No links: without an index the first change of a file of a checkpoint breaks them.
        options: &[("redirect_dir", "on")],
        kinds: &[
            Checkpoint, Checkpoint, Checkpoint, Checkpoint, Checkpoint, Checkpoint, Chmod, Chown,
            ChownLink, ChmodDir, Open, Rewrite, Truncate, Attribute, Replace, Replace, Create,
            Rename, RenameOver, Exchange, RenameDir, RenameDir, Unlink, Unlink, Rmdir, Mkdir,
            Symlink,
        ],
        has_lower_links: false,
        compares_times: true,
        at_syncs: false,
        is_live: true,
        is_control: false,
    },
    Scenario {
        name: "rollback",
        options: &[("redirect_dir", "on")],
        kinds: &[
            Checkpoint, Checkpoint, Checkpoint, Checkpoint, Rollback, Rollback, Rollback, Chmod,
            Chown, ChmodDir, Rewrite, Attribute, Replace, Create, Rename, Exchange, RenameDir,
            Unlink, Unlink, Rmdir, Mkdir, Symlink,
        ],
        has_lower_links: false,
        compares_times: true,
        at_syncs: false,
        is_live: true,
        is_control: false,
    },
    Scenario {
        name: "volatile",
        options: &[("fsync", "volatile")],
        kinds: COPY_UP,
        has_lower_links: false,
        compares_times: true,
        at_syncs: false,
        is_live: false,
        is_control: true,
    },
];
