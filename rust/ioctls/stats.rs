// SPDX-License-Identifier: GPL-2.0

//! What a mount has counted.

use crate::{
    histogram::{Histogram, BUCKETS},
    layout::exchanged,
};

/// Makes [`Counter`] and [`Stats`]: each counter is a member of its name, in the same order.
macro_rules! stats {
    ($first:literal, $($(#[$doc:meta])* $variant:ident, $field:ident;)*) => {
        /// What is counted, by its place in [`Stats`].
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum Counter {
            $($(#[$doc])* $variant,)*
        }

        impl Counter {
            /// All of them.
            pub const ALL: &'static [Self] = &[$(Self::$variant),*];
            /// How many there are.
            pub const COUNT: usize = Self::ALL.len();

            /// The name, as in C and in sysfs.
            pub const fn name(self) -> &'static str {
                match self {
                    $(Self::$variant => stringify!($field),)*
                }
            }
        }

        exchanged! {
            /// The counters of a mount, from its beginning on, and how long what it did has taken.
            pub struct Stats, "rovl_stats", first $first {
                /// See [`Head`](crate::Head).
                pub size: u32,
                /// 0.
                pub flags: u32,
                $($(#[$doc])* pub $field: u64,)*
                /// How many bytes of memory the listings and name tables take that are kept now.
                pub kept_bytes: u64,
                /// How many files are listed now that may have data that has not been written.
                pub unwritten_files: u64,
                /// How many warnings and notes were in the mount's log when it was made: what it got less than it
                /// asked for is there.
                pub mount_warnings: u64,
                /// How long copy up took, of each object, with its data and its sync.
                pub copy_up_ns: Histogram,
                /// How long syncs of the mount took.
                pub sync_ns: Histogram,
            }
        }

        impl Stats {
            /// What was counted; the rest is zero.
            pub fn of_counters(counters: [u64; Counter::COUNT]) -> Self {
                let [$($field),*] = counters;
                Self {
                    // CAST: a small constant.
                    size: size_of::<Self>() as u32,
                    flags: 0,
                    $($field,)*
                    kept_bytes: 0,
                    unwritten_files: 0,
                    mount_warnings: 0,
                    copy_up_ns: [0; BUCKETS],
                    sync_ns: [0; BUCKETS],
                }
            }

            /// The value of a counter.
            pub fn get(&self, counter: Counter) -> u64 {
                match counter {
                    $(Counter::$variant => self.$field,)*
                }
            }
        }
    };
}

stats! {
    888,
    /// Lookups, of names that the dentry cache did not know, that found something.
    LookupsPositive, lookups_positive;
    /// Lookups that found nothing, or a whiteout.
    LookupsNegative, lookups_negative;
    /// Lookups that have failed.
    LookupsFailed, lookups_failed;
    /// How many layers were asked by all of these.
    LayersAsked, layers_asked;
    /// How many of these layers had nothing under the name.
    LayersMissed, layers_missed;
    /// Objects that were copied up.
    CopyUps, copy_ups;
    /// Of these, regular files that were copied up without their data (`metacopy`).
    CopyUpsMetadata, copy_ups_metadata;
    /// Of these, files whose data was copied.
    CopyUpsData, copy_ups_data;
    /// Of these, files whose data was shared with the lower file.
    CopyUpsShared, copy_ups_shared;
    /// Files that got their data later than the rest.
    CopyUpsCompleted, copy_ups_completed;
    /// Copy ups that have failed.
    CopyUpsFailed, copy_ups_failed;
    /// Bytes of data that copy ups have copied.
    BytesCopied, bytes_copied;
    /// Bytes of data that copy ups have shared.
    BytesShared, bytes_shared;
    /// Whiteouts that were made.
    Whiteouts, whiteouts;
    /// Directories that were made opaque.
    Opaques, opaques;
    /// Redirects that were set.
    Redirects, redirects;
    /// Listings of directories that were made.
    ListingsBuilt, listings_built;
    /// How often one was there already.
    ListingsHit, listings_hit;
    /// Listings that were given up.
    ListingsDropped, listings_dropped;
    /// Tables of the names in lower layers that were made.
    NameTablesBuilt, name_tables_built;
    /// How often a lookup had one.
    NameTablesHit, name_tables_hit;
    /// Tables that were given up.
    NameTablesDropped, name_tables_dropped;
    /// Syncs of what this mount has changed.
    SyncsOwn, syncs_own;
    /// Syncs of all of the upper file system.
    SyncsFull, syncs_full;
    /// Files that the former have written.
    FilesSynced, files_synced;
    /// File handles that lead to nothing.
    StaleHandles, stale_handles;
    /// Inodes that were made.
    InodesMade, inodes_made;
}

impl Stats {
    /// One that asks for all there is.
    pub fn new() -> Self {
        Self::of_counters([0; Counter::COUNT])
    }

    /// The members that are single numbers, without the head, with their names.
    pub fn numbers(&self) -> impl Iterator<Item = (&'static str, u64)> + '_ {
        let counters = Counter::ALL.iter();
        let counted = counters.map(|counter| (counter.name(), self.get(*counter)));
        let now = [
            ("kept_bytes", self.kept_bytes),
            ("unwritten_files", self.unwritten_files),
            ("mount_warnings", self.mount_warnings),
        ];
        counted.chain(now)
    }
}

impl Default for Stats {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counters_are_members_in_order() {
        let mut counters = [0; Counter::COUNT];
        for (n, counter) in counters.iter_mut().enumerate() {
            *counter = n as u64 + 1;
        }
        let stats = Stats::of_counters(counters);
        for (counter, field) in Counter::ALL.iter().zip(&Stats::FIELDS[2..]) {
            assert_eq!(counter.name(), field.name);
            assert_eq!(stats.get(*counter), *counter as u64 + 1);
        }
        let names = stats.numbers().map(|(name, _)| name);
        let members = Stats::FIELDS[2..].iter().filter(|field| field.count == 1);
        assert!(names.eq(members.map(|field| field.name)));
    }
}
