// SPDX-License-Identifier: GPL-2.0

//! Identity: an object is recognised after its copy up, by its origin and its entry in the index.
//!
//! Here it is read; it is stored in [`upper`](crate::upper), and what a mount makes of the index of
//! an earlier one is in [`mount`](crate::mount).
//!
//! May use `object`.

pub(crate) mod handle;
pub(crate) mod index;
pub(crate) mod origin;
