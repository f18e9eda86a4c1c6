// SPDX-License-Identifier: GPL-2.0

//! How a rename is done.

use crate::bindings;
use kernel::impl_flags;

impl_flags!(
    /// How to rename (`RENAME_*`).
    #[derive(Debug, Clone, Default, Copy, PartialEq, Eq)]
    pub struct RenameFlags(u32);

    /// One way to rename.
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    pub enum RenameFlag {
        /// Fail with `EEXIST` where there is something at the new name.
        Noreplace = bindings::RENAME_NOREPLACE,
        /// Exchange the two, both of which have to exist.
        Exchange = bindings::RENAME_EXCHANGE,
        /// Leave a whiteout at the old name.
        Whiteout = bindings::RENAME_WHITEOUT,
    }
);

impl RenameFlags {
    /// No flags.
    pub const NONE: Self = Self(0);

    /// Whether there are others than those in `known`.
    pub fn has_other_than(self, known: Self) -> bool {
        self.0 & !known.0 != 0
    }

    /// The flags that the VFS passes to an operation, known or not.
    pub(crate) fn from_raw(flags: u32) -> Self {
        Self(flags)
    }
}
