// SPDX-License-Identifier: GPL-2.0

//! What a mount counts, and how long what it does takes.

use crate::observe::trace::Place;
use core::{
    array,
    fmt::{
        self,
        Write, //
    },
    sync::atomic::{
        AtomicU32,
        AtomicU64,
        Ordering, //
    }, //
};
use ioctls::histogram::{
    bucket,
    Histogram,
    BUCKETS, //
};
use kernel::{
    prelude::*,
    sync::{
        Arc,
        SetOnce, //
    }, //
};
use vfs::{
    clock,
    percpu::Counters,
    sysfs::{
        Report,
        Text, //
    },
};

pub(crate) use ioctls::stats::{
    Counter,
    Stats as Counted, //
};

/// The statistics of a mount.
pub(crate) struct Stats {
    counters: Counters<{ Counter::COUNT }>,
    /// The device number of the mount.
    dev: u32,
    /// How long copy up took.
    pub(crate) copy_up: Durations,
    /// How long syncs of the mount took.
    pub(crate) sync: Durations,
    /// How many warnings and notes there were when it was made.
    pub(crate) mount_warnings: AtomicU32,
}

impl Stats {
    /// Those of a new mount with device number `dev`.
    ///
    /// Returns `ENOMEM`, and the mount is refused then: nobody has to ask whether there are any.
    pub(crate) fn new(dev: u32) -> Result<Arc<Self>> {
        let stats = Self {
            counters: Counters::new()?,
            dev,
            copy_up: Durations::new(),
            sync: Durations::new(),
            mount_warnings: AtomicU32::new(0),
        };
        Ok(Arc::new(stats, GFP_KERNEL)?)
    }

    /// The directory with inode number `ino`.
    pub(crate) fn place(&self, ino: u64) -> Place {
        Place { dev: self.dev, ino }
    }

    /// Counts one.
    #[inline]
    pub(crate) fn count(&self, counter: Counter) {
        self.add(counter, 1);
    }

    /// Adds `n`.
    #[inline]
    pub(crate) fn add(&self, counter: Counter, n: u64) {
        // CAST: the number of a variant.
        self.counters.add(counter as usize, n);
    }

    /// What was counted up to now.
    pub(crate) fn counted(&self) -> Counted {
        let mut counted = Counted::of_counters(self.counters.sums());
        counted.copy_up_ns = self.copy_up.get();
        counted.sync_ns = self.sync.get();
        // ORDERING: Set before the mount is published.
        counted.mount_warnings = self.mount_warnings.load(Ordering::Relaxed).into();
        counted
    }
}

impl Report for Stats {
    fn write(&self, text: &mut Text<'_>) -> fmt::Result {
        let counted = self.counted();
        for counter in Counter::ALL {
            writeln!(text, "{} {}", counter.name(), counted.get(*counter))?;
        }
        writeln!(text, "mount_warnings {}", counted.mount_warnings)?;
        let histograms = [
            ("copy_up_ns", &counted.copy_up_ns),
            ("sync_ns", &counted.sync_ns),
        ];
        for (name, histogram) in histograms {
            text.write_str(name)?;
            for count in histogram {
                write!(text, " {count}")?;
            }
            text.write_str("\n")?;
        }
        Ok(())
    }
}

/// How often something took how long. It is for what takes long: all CPUs count in one place, and there is
/// none before something is noted.
pub(crate) struct Durations(SetOnce<KBox<[AtomicU64; BUCKETS]>>);

impl Durations {
    fn new() -> Self {
        Self(SetOnce::new())
    }

    /// Notes that something took so many nanoseconds. Without memory for it that is lost. May sleep.
    pub(crate) fn note(&self, ns: u64) {
        if self.0.as_ref().is_none() {
            let none = KBox::new(array::from_fn(|_| AtomicU64::new(0)), GFP_KERNEL);
            // Another one may have been first; what comes while it is not done is lost, too.
            let _ = none.map(|none| self.0.populate(none));
        }
        let counts = self.0.as_ref();
        if let Some(count) = counts.and_then(|counts| counts.get(bucket(ns))) {
            // ORDERING: Only the sum matters.
            count.fetch_add(1, Ordering::Relaxed);
        }
    }

    fn get(&self) -> Histogram {
        // ORDERING: As above.
        array::from_fn(|n| {
            let count = self.0.as_ref().and_then(|counts| counts.get(n));
            count.map_or(0, |count| count.load(Ordering::Relaxed))
        })
    }
}

/// When something began.
#[derive(Clone, Copy)]
pub(crate) struct Start(u64);

impl Start {
    /// Now.
    pub(crate) fn now() -> Self {
        Self(clock::monotonic())
    }

    /// How many nanoseconds ago that was.
    pub(crate) fn ns(self) -> u64 {
        clock::monotonic().saturating_sub(self.0)
    }
}
