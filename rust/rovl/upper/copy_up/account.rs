// SPDX-License-Identifier: GPL-2.0

//! What a copy up counts, and tells of itself.

use crate::{
    observe::{
        stats::{
            Counter,
            Start, //
        },
        trace::{
            self,
            CopiedUp,
            How,
            Why, //
        }, //
    },
    upper::copy_up::CopyUp, //
};
use kernel::prelude::*;

/// What became of the data of a file that is copied up.
#[derive(Clone, Copy)]
pub(super) enum DataCopied {
    /// Nothing: there is none, or it stays below.
    Not,
    /// So many bytes were copied.
    Bytes(u64),
    /// So many bytes are shared with the lower file.
    Shared(u64),
}

/// A copy up that has begun.
pub(super) struct Account {
    why: Why,
    /// Whether the copy was not there before.
    is_new: bool,
    start: Start,
}

impl Account {
    /// Begins, with the inode locked.
    pub(super) fn begin(copy_up: &CopyUp<'_>, why: Why) -> Self {
        trace::copy_up_begin(copy_up.dentry, copy_up.stat.size(), why);
        Self {
            why,
            is_new: copy_up.is_new(),
            start: Start::now(),
        }
    }

    /// It was done, or has failed.
    pub(super) fn end(self, copy_up: &CopyUp<'_>, done: Result) {
        let ns = self.start.ns();
        self.count(copy_up, &done, ns);
        let (how, bytes) = match copy_up.data.get() {
            DataCopied::Bytes(bytes) => (How::Data, bytes),
            DataCopied::Shared(bytes) => (How::Shared, bytes),
            DataCopied::Not if copy_up.leaves_data() => (How::Metadata, 0),
            DataCopied::Not => (How::NoData, 0),
        };
        let copied = CopiedUp {
            size: copy_up.stat.size(),
            why: self.why,
            how,
            bytes,
            ns,
        };
        trace::copy_up_end(copy_up.dentry, done, &copied);
    }

    fn count(&self, copy_up: &CopyUp<'_>, done: &Result, ns: u64) {
        let stats = &copy_up.ofs.stats;
        stats.copy_up.note(ns);
        if done.is_err() {
            stats.count(Counter::CopyUpsFailed);
            return;
        }
        if self.is_new {
            stats.count(Counter::CopyUps);
            if copy_up.leaves_data() {
                stats.count(Counter::CopyUpsMetadata);
            }
        }
        match copy_up.data.get() {
            DataCopied::Not => return,
            DataCopied::Bytes(bytes) => {
                stats.count(Counter::CopyUpsData);
                stats.add(Counter::BytesCopied, bytes);
            }
            DataCopied::Shared(bytes) => {
                stats.count(Counter::CopyUpsShared);
                stats.add(Counter::BytesShared, bytes);
            }
        }
        if !self.is_new {
            stats.count(Counter::CopyUpsCompleted);
        }
    }
}
