// SPDX-License-Identifier: GPL-2.0

//! Names: looking one up through the layers, making, linking, removing and renaming.
//!
//! May use `readdir`, `file`, `upper`, `sync`, `identity`, `object`, `listing`, `observe`.

pub(crate) mod create;
pub(crate) mod link;
pub(crate) mod lookup;
mod nlink;
pub(crate) mod remove;
pub(crate) mod rename;
pub(crate) mod renew;
pub(crate) mod tmpfile;
