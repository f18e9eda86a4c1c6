// SPDX-License-Identifier: GPL-2.0
//! What the guest tests and the benchmark have in common: layers on disk, mounts made through the
//! file system context, trees described as text, callers with other credentials, block devices.
//!
//! The helpers panic with the place of the caller when a step fails that the test takes for
//! granted: a test is a list of such steps, and a panic is how it fails.

pub mod acl;
pub mod apparmor;
pub mod block;
pub mod caller;
pub mod case;
pub mod collide;
pub mod dirent;
pub mod fanotify;
pub mod flash;
pub mod fuse;
pub mod fuse_dir;
pub mod handle;
pub mod idmap;
pub mod kernel_log;
pub mod layers;
pub mod load;
pub mod mount;
pub mod ops;
pub mod overlay_xattr;
pub mod packed;
pub mod parameter;
pub mod progress;
pub mod query;
pub mod raw;
pub mod release;
pub mod selinux;
pub mod slow_disk;
pub mod stack;
pub mod statmount;
pub mod tracing;
pub mod tree;
pub mod uring;
pub mod userns;
pub mod verity;

pub use case::{skip, Case, Test};
pub use layers::{Dir, Layers};
pub use mount::{Mounted, Request};
pub use ops::{errno, ok};
