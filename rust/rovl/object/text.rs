// SPDX-License-Identifier: GPL-2.0

//! Names as users give them.

use crate::object::reason;
use kernel::{
    fmt::{
        self,
        Display,
        Formatter, //
    },
    prelude::*,
    str::CStr, //
};

/// A name that the user gave.
pub(crate) struct Text(KVec<u8>);

impl Text {
    /// A copy. Returns `EINVAL` if there is a NUL in it.
    #[inline]
    pub(crate) fn new(bytes: &[u8]) -> Result<Self> {
        let copy = Self::copy_of(bytes)?;
        CStr::from_bytes_with_nul(&copy.0).map_err(|_| reason::NUL_IN_TEXT)?;
        Ok(copy)
    }

    /// A copy of what is known to have no NUL in it, as it comes from C.
    pub(crate) fn copy_of(bytes: &[u8]) -> Result<Self> {
        let mut copy = KVec::with_capacity(bytes.len().saturating_add(1), GFP_KERNEL)?;
        copy.extend_from_slice(bytes, GFP_KERNEL)?;
        copy.push(0, GFP_KERNEL)?;
        Ok(Self(copy))
    }

    /// The text as C has it, which looks for its end.
    pub(crate) fn as_cstr(&self) -> &CStr {
        CStr::from_bytes_with_nul(&self.0).unwrap_or_default()
    }

    /// The text without the NUL.
    pub(crate) fn as_bytes(&self) -> &[u8] {
        self.0.split_last().map_or(&[], |(_, bytes)| bytes)
    }
}

impl Display for Text {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        Display::fmt(self.as_cstr(), f)
    }
}
