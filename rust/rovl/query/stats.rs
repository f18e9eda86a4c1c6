// SPDX-License-Identifier: GPL-2.0

//! `ROVL_IOC_GET_STATS`: what the mount has counted.

use crate::{
    object::{
        reason,
        super_data::Super, //
    },
    observe::stats::Counted, //
};
use kernel::prelude::*;

pub(super) fn get(ofs: &Super, asked: Counted) -> Result<Counted> {
    if asked.flags != 0 {
        return Err(reason::QUERY_FLAGS);
    }
    Ok(ofs.counted())
}

impl Super {
    /// What was counted, and what there is now.
    pub(crate) fn counted(&self) -> Counted {
        let mut counted = self.stats.counted();
        // CAST: `usize` has at most 64 bits.
        counted.kept_bytes = self.keeper.bytes() as u64;
        counted.unwritten_files = self.unwritten.len() as u64;
        counted
    }
}
