// SPDX-License-Identifier: GPL-2.0

//! Overlay inodes: their operations, and how they are found and made.

mod ops;

pub(crate) use ops::tables_for;
