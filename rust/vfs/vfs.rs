// SPDX-License-Identifier: GPL-2.0

//! Safe abstractions over the VFS, to write file systems with.
//!
//! The crate mirrors the objects of C one to one and keeps their names. What it adds are types:
//!
//! - Every object carries whose it is: `Dentry<F>` and `Inode<F>` belong to the file system `F`
//!   that is written with this crate, `Dentry<Foreign>` and `Inode<Foreign>` to any other one.
//! - What C pairs by hand, as the locks of inodes, is a guard.
//! - What is true for a while, as that a lock is held, is a type that ends with it.
//!
//! A file system that stacks on others needs the crate `stacking` as well, which has what is done with
//! objects of those. All unsafe code of a module is in these two. `Documentation/vfs.rst` has the rules on ownership,
//! context, locks and credentials; `samples/` has two small file systems to read.
//!
//! # A file system in five steps
//!
//! 1. A type without values that implements [`FileSystem`]: its name, and what its mounts and inodes
//!    know.
//! 2. A module with a [`registration::Registration`].
//! 3. [`fs_context::Operations`]: options, and `fill_super`, which ends with
//!    [`NewSuperBlock::finish`](super_block::NewSuperBlock::finish). Here the root is made.
//! 4. [`inode::Operations`], and [`inode::InodeTables`] of them for each type of inode, which
//!    [`NewInode::set_type`](inode::NewInode::set_type) puts into an inode.
//! 5. [`file::Operations`] for what can be opened.
//!
//! ```ignore
//! static DIR: InodeTables<MemFs> = InodeTables::directories::<DirOps>().with_simple_dir_operations();
//!
//! #[vtable]
//! impl inode::Operations for DirOps {
//!     type FileSystem = MemFs;
//!
//!     fn mkdir(
//!         idmap: Idmap<'_>,
//!         dir: &Locked<'_, MemFs>,
//!         dentry: Negative<'_, MemFs>,
//!         mode: u16,
//!     ) -> Result {
//!         // Nobody sees it. Dropping it would undo it.
//!         let mut inode = dir.sb().new_inode()?;
//!         let mode = inode.init_owner(idmap, dir, S_IFDIR | mode);
//!         inode.set_type(mode, 0, &DIR);
//!         // Now others see it, under its name.
//!         dentry.make_persistent(inode).map(drop)
//!     }
//! }
//! ```
//!
//! # Where to look
//!
//! | For | see |
//! |---|---|
//! | mounting, options, messages to whoever mounts | [`fs_context`] |
//! | super blocks, `statfs()`, shown options | [`super_block`] |
//! | inodes: making, finding, locking | [`inode`] |
//! | names: dentries, lookup in one's own file system | [`dentry`], [`namei::InLookup`] |
//! | attributes | [`stat`], [`iattr`], [`xattr`], [`posix_acl`], [`fileattr`] |
//! | open files, requests, mappings | [`mod@file`] |
//! | listings of directories | [`dir_context`] |
//! | data in the page cache | [`address_space`] |
//! | paths, mounts and their ids | [`path`], [`mount`] |
//! | file handles | [`mod@export`] |
//! | what is kept until memory is short | [`lru`] |
//! | requests to devices that are made together | [`plug`] |
//! | counting, telling what happens | [`percpu`], [`clock`], [`sysfs`], [`trace`] |
//! | what an inode holds of file systems below | [`layers`], [`publish`] |
//!
//! Module parameters, which C has to declare, are read with [`module_parameters!`], and tracepoints called
//! with [`tracepoints!`].

use kernel::prelude::*;

// What `pr_*!` puts before a message, in a crate without `module!`.
const __LOG_PREFIX: &[u8] = b"vfs\0";

#[doc(hidden)]
pub mod bindings;

pub mod address_space;
pub mod clock;
pub mod dentry;
pub mod dir_context;
pub mod errno;
pub mod export;
pub mod file;
pub mod fileattr;
pub mod fs_context;
pub mod iattr;
pub mod inode;
pub mod layers;
pub mod log;
pub mod lru;
pub mod memalloc;
mod module_parameters;
pub mod mount;
pub mod name_hash;
pub mod namei;
pub mod path;
pub mod percpu;
pub mod plug;
pub mod posix_acl;
pub mod publish;
mod reference;
pub mod registration;
pub mod rwsem;
pub mod stat;
pub mod super_block;
pub mod sysfs;
pub mod trace;
pub mod verity;
mod version;
pub mod xattr;

pub use reference::Ref;

use core::marker::PhantomData;

/// Whose an object is: any other file system's, of whatever type. A layer is one, and so is what the
/// path of a mount option leads to.
pub enum Foreign {}

/// A file system written with this crate.
///
/// The type itself has no values; it names the file system in the types of its objects.
pub trait FileSystem: Sized + Send + Sync + 'static {
    /// The name of `struct file_system_type`.
    const NAME: &'static CStr;
    /// The name of the slab cache of its inodes, as /proc/slabinfo shows it.
    const INODE_CACHE: &'static CStr;
    /// How messages in the kernel's log begin.
    const LOG_PREFIX: &'static CStr = Self::NAME;
    /// Whether the kernel's log has what is found while a mount is made or changed, too: see
    /// [`fs_context::FsContext::error`].
    const MOUNTS_LOG_TO_KERNEL: bool = false;
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

    /// Whether its mounts may report in sysfs ([`sysfs::Directory`]).
    const REPORTS: bool = false;

    /// Whether what is in the kernel's log is left out of the mount's own.
    fn is_mount_log_quiet() -> bool {
        false
    }

    /// Is told each message for the log of a mount, whoever reads that. May sleep.
    fn mount_told(_message: &[u8], _level: fs_context::Level) {}

    /// The mounts of the layers, which are a part of `data`: what an inode holds of layers is of their
    /// file systems.
    ///
    /// They are there as long as `data`, since it is behind a shared reference.
    fn mounts(data: &Self::Super) -> &<Self::Layers as layers::Layers>::Mounts;

    /// Initialises the file system's part of a new inode.
    ///
    /// May sleep. An error makes the allocation of the inode fail.
    fn init_inode() -> impl PinInit<Self::Inode, Error>;
}

/// The owner of an object, as a zero-sized member.
type Of<F> = PhantomData<fn() -> F>;
