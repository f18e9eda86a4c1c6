// SPDX-License-Identifier: GPL-2.0

//! Safe abstractions for file systems that stack on others, on top of `vfs`.
//!
//! `vfs` has the objects of the VFS. This crate has what is done with those of *other* file systems, the
//! layers:
//!
//! - A layer is only reached with [`cred::AsMounter`] in hand, the proof that the mounter's
//!   credentials are in force, and only changed through a [`mount::WriteGuard`].
//! - What C pairs by hand (`start_creating()`/`end_creating()`, `mnt_want_write()`/
//!   `mnt_drop_write()`) is a guard.
//! - What an inode holds of the layers is a kind of layers, [`layers::OneLayer`] or
//!   [`stack::LayerStack`], that the file system names as `FileSystem::Layers`.
//!
//! Methods of objects that `vfs` owns are those of traits, all of which are in [`prelude`].
//!
//! # Where to look
//!
//! | For | see |
//! |---|---|
//! | credentials | [`cred`], [`security`] |
//! | mounts below, write access | [`mount`] |
//! | paths below, and looking up, opening and reading there | [`path`], [`namei`], [`dir_context`], [`link`] |
//! | changing directories below | [`namei::Creating`], [`namei::Removing`], [`namei::Renaming`] |
//! | attributes below | [`stat`], [`iattr`], [`xattr`], [`posix_acl`], [`fileattr`] |
//! | data of files below | [`backing_file`], [`copy`], [`verity`], [`fiemap`] |
//! | files below that are still to be written | [`unwritten`] |
//! | finding objects below again | [`exportfs`] |
//! | what an inode holds of the layers | [`layers`], [`stack`], [`rcu`], [`revalidate`], [`shelf`] |
//! | layers that overlap, or are in use | [`trap`], [`in_use`] |

pub mod backing_file;
mod content;
pub mod copy;
pub mod cred;
pub mod dir_context;
pub mod exportfs;
pub mod fiemap;
pub mod fileattr;
pub mod iattr;
pub mod in_use;
pub mod layers;
pub mod link;
pub mod mount;
pub mod namei;
pub mod path;
pub mod posix_acl;
pub mod rcu;
pub mod revalidate;
pub mod security;
pub mod shelf;
pub mod stack;
pub mod stat;
pub mod super_block;
pub mod trap;
pub mod unwritten;
pub mod verity;
pub mod xattr;

/// The traits whose methods objects of `vfs` get here.
pub mod prelude {
    #[doc(no_inline)]
    pub use crate::{
        backing_file::{
            BackedFile,
            BackedTmpFile, //
        },
        exportfs::{
            DecodeFid,
            ForeignHandle, //
        },
        fiemap::ForeignExtents,
        in_use::HasInUse,
        layers::{
            OneLayerInode,
            OneLayerNewInode, //
        },
        link::ForeignLink,
        namei::ForeignDentry,
        path::PathExt,
        rcu::RcuLayers,
        revalidate::{
            RevalidatesOnDemand,
            Revalidation, //
        },
        stack::{
            StackedInode,
            StackedNewInode, //
        },
        stat::KstatExt,
        super_block::{
            ForeignSuperBlock,
            NewStackingSuperBlock,
            StatfsExt, //
        },
        trap::{
            HasTraps,
            NewTraps, //
        },
    };
}
