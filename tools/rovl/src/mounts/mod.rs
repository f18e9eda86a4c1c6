// SPDX-License-Identifier: GPL-2.0

//! Mounts of this machine: which there are, what they were made with, and making one.

mod attach;
mod context;
mod counters;
pub mod journal;
mod layer_options;
pub mod live;
pub mod mountinfo;
mod options;
mod overlay;
mod parameters;
mod remarks;

pub use attach::{mount, remount, Request};
pub use context::Context;
pub use counters::{counters, quantile};
pub use layer_options::{split, Setting, LONGEST_TEXT};
pub use options::{Options, SuperFlag};
pub use overlay::{Directory, InForce, Overlay, Role};
pub use parameters::Module;
pub use remarks::{find_directories, remarks, Found, Remark};
