// SPDX-License-Identifier: GPL-2.0

//! The names in one directory of a layer.

use kernel::{
    prelude::*, //
};
use stacking::{
    cred::AsMounter,
    dir_context::DirEntry,
    path::LayerPath, //
};

/// A list of names, stored one behind the other.
pub(crate) struct Names {
    bytes: KVVec<u8>,
    /// Where each name ends in `bytes`.
    ends: KVVec<u32>,
}

impl Names {
    /// No names.
    pub(crate) const fn new() -> Self {
        Self {
            bytes: KVVec::new(),
            ends: KVVec::new(),
        }
    }

    /// Adds a name. Returns `ENOMEM`, also where the list is longer than 4 GiB.
    pub(crate) fn push(&mut self, name: &[u8]) -> Result {
        let end = self.bytes.len().saturating_add(name.len());
        let end = u32::try_from(end).map_err(|_| ENOMEM)?;
        self.ends.reserve(1, GFP_KERNEL)?;
        self.bytes.extend_from_slice(name, GFP_KERNEL)?;
        self.ends.push(end, GFP_KERNEL)?;
        Ok(())
    }

    /// Whether there are none.
    pub(crate) fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }

    /// The names in the order in which they were added.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &[u8]> {
        let mut start = 0;
        self.ends.iter().map(move |&end| {
            // CAST: `usize` has at least 32 bits.
            let end = end as usize;
            let name = self.bytes.get(start..end).unwrap_or_default();
            start = end;
            name
        })
    }
}

/// The names in a directory of a layer, without `.` and `..`.
pub(crate) fn names(m: &AsMounter, path: LayerPath<'_>) -> Result<Names> {
    let mut names = Names::new();
    path.read_dir(m, |entry| {
        if entry.is_dot_or_dotdot() {
            return Ok(());
        }
        names.push(entry.name)
    })?;
    Ok(names)
}

/// Some of the names in a directory of a layer, without `.` and `..`: at most `limit`.
pub(crate) fn some_names(m: &AsMounter, path: LayerPath<'_>, limit: usize) -> Result<Names> {
    let mut names = Names::new();
    let mut left = limit;
    let result = path.read_dir(m, |entry| {
        if entry.is_dot_or_dotdot() {
            return Ok(());
        }
        // Ends the reading, and is seen below.
        left = left.checked_sub(1).ok_or(ERANGE)?;
        names.push(entry.name)
    });
    match result {
        Err(err) if err != ERANGE || names.is_empty() => Err(err),
        _ => Ok(names),
    }
}

/// Whether the file system says in a directory of what type its entries are.
///
/// There must be an entry beside `.` and `..`, whose types every file system knows.
pub(crate) fn d_type_supported(m: &AsMounter, path: LayerPath<'_>) -> Result<bool> {
    let mut supported = false;
    path.read_dir(m, |entry| {
        supported |= !entry.is_dot_or_dotdot() && entry.kind != DirEntry::UNKNOWN;
        Ok(())
    })?;
    Ok(supported)
}

#[cfg(rovl_kunit)]
#[kernel::macros::kunit_tests(rovl_readdir_names)]
mod tests {
    use super::*;

    #[test]
    fn are_kept_in_order() -> Result {
        let mut names = Names::new();
        assert_eq!(names.iter().count(), 0);
        let expected: [&[u8]; 4] = [b"b", b"", b"longer name", b"a"];
        for name in expected {
            names.push(name)?;
        }
        assert!(names.iter().eq(expected));
        Ok(())
    }
}
