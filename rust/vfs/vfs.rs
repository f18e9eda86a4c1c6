// SPDX-License-Identifier: GPL-2.0

//! Safe abstractions over the VFS, for file systems that stack on others.
//!
//! The crate mirrors the objects of C one to one and keeps their names. What it adds are types:
//!
//! - Every object carries whose it is: `Dentry<F>` and `Inode<F>` belong to the file system `F`
//!   that is written with this crate, `Dentry<Layer>` and `Inode<Layer>` to a file system below.
//! - A layer is only reached with [`cred::AsMounter`] in hand, the proof that the mounter's
//!   credentials are in force, and only changed through a [`mount::WriteGuard`].
//! - What C pairs by hand (`start_creating()`/`end_creating()`, `mnt_want_write()`/
//!   `mnt_drop_write()`, inode locks) is a guard.
//!
//! All unsafe code of the module is in this crate.

use kernel::prelude::*;

// What `pr_*!` puts before a message, in a crate without `module!`.
const __LOG_PREFIX: &[u8] = b"rovl\0";

mod bindings;

pub mod backing_file;
pub mod copy;
pub mod cred;
pub mod dentry;
pub mod dir_context;
pub mod export;
pub mod exportfs;
pub mod file;
pub mod fileattr;
pub mod fs_context;
pub mod iattr;
pub mod inode;
pub mod layers;
pub mod log;
pub mod mount;
pub mod name_hash;
pub mod namei;
pub mod overlay_tables;
pub mod path;
pub mod posix_acl;
pub mod publish;
pub mod registration;
pub mod security;
pub mod stack;
pub mod stat;
pub mod super_block;
pub mod xattr;

use core::marker::PhantomData;

/// Whose an object is: a file system below, not the one written with this crate.
pub enum Layer {}

/// A file system written with this crate.
///
/// The type itself has no values; it names the file system in the types of its objects.
pub trait FileSystem: Sized + Send + Sync + 'static {
    /// The name of `struct file_system_type`.
    const NAME: &'static CStr;
    /// The name of the slab cache of its inodes, as /proc/slabinfo shows it.
    const INODE_CACHE: &'static CStr;
    /// What a mounted instance knows, in `s_fs_info`.
    type Super: Send + Sync;
    /// What an inode knows beside its layers.
    type Inode: Send + Sync;
    /// What an inode holds of file systems below.
    type Layers: layers::Layers;

    /// Whether it can be mounted in user namespaces (`FS_USERNS_MOUNT`).
    const USERNS_MOUNT: bool = true;
    /// Whether its mounts can be id-mapped (`FS_ALLOW_IDMAP`).
    const ALLOW_IDMAP: bool = true;

    /// Initialises the file system's part of a new inode.
    ///
    /// May sleep. An error makes the allocation of the inode fail.
    fn init_inode() -> impl PinInit<Self::Inode, Error>;
}

/// The owner of an object, as a zero-sized member.
type Of<F> = PhantomData<fn() -> F>;
